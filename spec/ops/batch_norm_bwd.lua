-- batch_norm_bwd runs as the gradient of batch_norm; its samples are there.
return { samples = {}, backward_of = "batch_norm" }
