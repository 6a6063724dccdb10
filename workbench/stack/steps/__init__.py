"""The steps of the way of a request, one module each: admit, inspect, recall, choose, compose, answer, check, settle."""
