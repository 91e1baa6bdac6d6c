"""The inside of shoal-data. Imports go down only:

api > execution > exchange > plan > (sources | sinks) > aggregation > kernels > (expressions | consumption) > blocks
"""
