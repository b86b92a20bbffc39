"""Tools that prove hand-written layers right."""
