-- Samples of scaled_dot_product_attention_dropout where it drops nothing; what it drops is checked with
-- scaled_dot_product_attention.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 2, 4, 8 }, S.randn { 2, 5, 8 }, S.randn { 2, 5, 8 } } },
    { args = { S.randn { 2, 4, 8 }, S.randn { 2, 5, 8 }, S.randn { 2, 5, 8 }, S.randn { 4, 5 } },
      options = { scale = 0.3 } },
  },
  tolerance = { float32 = 1e-5, gradient = 4e-5 },
}
