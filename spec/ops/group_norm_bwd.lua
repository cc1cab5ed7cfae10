-- group_norm_bwd runs as the gradient of group_norm; its samples are there.
return { samples = {}, backward_of = "group_norm" }
