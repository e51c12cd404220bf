"""Images of a session planned ahead: requests, their linearisation, alignment images between them."""
