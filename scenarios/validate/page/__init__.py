"""The page of a validation: findings with their pictures, and every verdict of every file."""

from scenarios.validate.page.document import page_of

__all__ = ["page_of"]
