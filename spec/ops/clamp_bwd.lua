-- clamp_bwd runs as the gradient of clamp; its samples are there.
return { samples = {}, backward_of = "clamp" }
