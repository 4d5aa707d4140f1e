"""Free text: identifiers, names, addresses and organisations inside sentences, and their redaction."""
