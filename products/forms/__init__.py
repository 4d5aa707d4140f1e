"""The forms of products other than verification: models, data services, and files marked for their buyer."""
