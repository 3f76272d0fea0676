"""How far the measurement can be trusted: scores on recordings of people, and the document that shows them."""
