"""The job `plan`: which technique, dose and settings answer a question."""
