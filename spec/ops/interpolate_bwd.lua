-- interpolate_bwd runs as the gradient of interpolate; its samples are there.
return { samples = {}, backward_of = "interpolate" }
