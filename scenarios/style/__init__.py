"""How figures and pages of all jobs look: colours, type, and one style sheet."""
