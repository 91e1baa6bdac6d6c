"""The arithmetic of the algorithms: pure functions of arrays or tensors, none of which loops over steps.

What belongs to several episodes stands in flat columns, one after the other; `lengths` says how many steps each has.
"""
