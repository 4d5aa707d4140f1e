"""What of an ONNX file is read: the messages of onnx.proto (syntax proto3) with the fields that a model needs.

Fields that are left out are refused: functions, training information, graphs inside nodes, sparse tensors,
quantization notes, external data. Source: github.com/onnx/onnx, onnx.proto, IR version 13.
"""

from __future__ import annotations

from typing import Final

from sandbox.airlock.models.protobuf import Field, Schema

ONNX: Final[Schema] = {
    "Model": {
        1: Field("ir_version", "int"), 2: Field("producer_name", "text"), 3: Field("producer_version", "text"),
        4: Field("domain", "text"), 5: Field("model_version", "int"), 6: Field("doc_string", "text"),
        7: Field("graph", "Graph"), 8: Field("opset_import", "Opset", many=True),
        14: Field("metadata_props", "bytes", many=True), 20: Field("training_info", "bytes", many=True),
        25: Field("functions", "bytes", many=True),
    },
    "Opset": {1: Field("domain", "text"), 2: Field("version", "int")},
    "Graph": {
        1: Field("node", "Node", many=True), 2: Field("name", "text"), 5: Field("initializer", "Tensor", many=True),
        10: Field("doc_string", "text"), 11: Field("input", "Value", many=True),
        12: Field("output", "Value", many=True),
        13: Field("value_info", "Value", many=True), 16: Field("metadata_props", "bytes", many=True),
    },
    "Node": {
        1: Field("input", "text", many=True), 2: Field("output", "text", many=True), 3: Field("name", "text"),
        4: Field("op_type", "text"), 5: Field("attribute", "Attribute", many=True), 6: Field("doc_string", "text"),
        7: Field("domain", "text"), 9: Field("metadata_props", "bytes", many=True),
    },
    "Attribute": {
        1: Field("name", "text"), 2: Field("f", "float"), 3: Field("i", "int"), 4: Field("s", "bytes"),
        5: Field("t", "Tensor"), 7: Field("floats", "float", many=True), 8: Field("ints", "int", many=True),
        9: Field("strings", "bytes", many=True), 13: Field("doc_string", "text"), 20: Field("type", "int"),
    },
    "Tensor": {
        1: Field("dims", "int", many=True), 2: Field("data_type", "int"), 4: Field("float_data", "float", many=True),
        5: Field("int32_data", "int", many=True), 6: Field("string_data", "bytes", many=True),
        7: Field("int64_data", "int", many=True), 8: Field("name", "text"), 9: Field("raw_data", "bytes"),
        10: Field("double_data", "double", many=True), 12: Field("doc_string", "text"),
        13: Field("external_data", "bytes", many=True), 14: Field("data_location", "int"),
        16: Field("metadata_props", "bytes", many=True),
    },
    "Value": {1: Field("name", "text"), 2: Field("type", "Type"), 3: Field("doc_string", "text")},
    "Type": {
        1: Field("tensor_type", "TensorType"), 4: Field("sequence_type", "SequenceType"), 6: Field("denotation", "text")
    },
    "TensorType": {1: Field("elem_type", "int"), 2: Field("shape", "Shape")},
    "Shape": {1: Field("dim", "Dimension", many=True)},
    "Dimension": {1: Field("dim_value", "int"), 2: Field("dim_param", "text"), 3: Field("denotation", "text")},
    "SequenceType": {1: Field("elem_type", "ElementType")},
    "ElementType": {5: Field("map_type", "MapType")},
    "MapType": {1: Field("key_type", "int"), 2: Field("value_type", "Type")},
}  # fmt: skip
"""What is refused by name (functions, metadata, external data) is read as bytes, so that a finding can say it."""

TENSOR_TYPES: Final = {1: "<f4", 6: "<i4", 7: "<i8", 9: "?", 11: "<f8", 10: "<f2", 2: "u1", 3: "i1"}
TEXT_TENSOR: Final = 8
