-- silu_bwd runs as the gradient of silu; its samples are there.
return { samples = {}, backward_of = "silu" }
