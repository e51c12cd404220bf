"""STEM images: the algorithms that compute them, and the choice among them."""
