"""From raw pictures to an answer: networks ready to run, recogniser, galleries, bulk embedding, export."""
