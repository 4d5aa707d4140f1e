"""The demo city: registers of invented residents, enterprises, insurance and trips, of any size, by a seed."""

from shuzha.server.demo.city.generate import City, Register, find_city, generate
from shuzha.server.demo.city.subjects import CLAIM_MONTH, CLAIM_NAME, Subject, Subjects, claim_conditions, pick_subjects

__all__ = [
    "CLAIM_MONTH",
    "CLAIM_NAME",
    "City",
    "Register",
    "Subject",
    "Subjects",
    "claim_conditions",
    "find_city",
    "generate",
    "pick_subjects",
]
