"""Words that the other rooms share: ids, resources, options, messages. Frozen data and its parsing; no effects, no decisions."""
