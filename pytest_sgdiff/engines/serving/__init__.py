"""`sglang serve`: which of a case's args go to the server and which to its requests, and what both must prove.

fields      the table: parameters of a request, by what it makes and by release
requests    a case split by it: words for the server, bodies for its requests
varied      inputs that differ from request to request
gate        why the life of a server does not count
words       the same in words
numbers     what its requests took, and the times around them
inspect     all of it without a case
"""
