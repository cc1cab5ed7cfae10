-- Samples of interpolate.
local S = require "spec.support.sample"

local samples = {
  { args = { S.randn { 2, 3, 4, 5 } }, options = { scale_factor = 2 }, name = "nearest" },
  { args = { S.randn { 2, 3, 4, 5 } }, options = { size = { 7, 3 }, mode = "nearest-exact" },
    name = "nearest-exact" },
  { args = { S.randn { 1, 2, 1, 1 } }, options = { size = 3, mode = "bilinear", align_corners = true },
    name = "a single pixel" },
  { args = { S.randn { 1, 2, 3, 3 } }, options = { size = 1, mode = "bicubic", align_corners = true },
    name = "to a single pixel" },
  { args = { S.randn { 0, 2, 3, 3 } }, options = { size = 2 }, name = "empty batch" },
  { args = { S.randn { 2, 2, 9, 8 } },
    options = { scale_factor = 0.4, scale_factor_width = 1.7, mode = "bilinear" }, name = "two factors" },
}
for _, mode in ipairs { "bilinear", "bicubic" } do
  for _, align_corners in ipairs { false, true } do
    for _, antialias in ipairs { false, true } do
      for _, size in ipairs { { 3, 9 }, { 8, 2 } } do
        samples[#samples + 1] = { args = { S.randn { 2, 3, 5, 6 } }, options = { size = size,
          mode = mode, align_corners = align_corners, antialias = antialias },
          name = ("%s %dx%d%s%s"):format(mode, size[1], size[2], align_corners and " corners" or "",
            antialias and " antialias" or "") }
      end
    end
  end
end

return {
  samples = samples,
  errors = {
    { call = function(m) m.interpolate(m.zeros { 1, 2, 4, 4 }) end,
      message = "interpolate: size or scale_factor is missing" },
    { call = function(m) m.interpolate(m.zeros { 1, 2, 4, 4 }, { size = 2, scale_factor = 2 }) end,
      message = "interpolate: size and scale_factor are both given; one is enough" },
    { call = function(m) m.interpolate(m.zeros { 1, 2, 4, 4 }, { size = 2, align_corners = true }) end,
      message = "interpolate: align_corners needs mode bilinear or bicubic" },
    { call = function(m) m.interpolate(m.zeros { 1, 2, 4, 4 }, { size = 2, antialias = true }) end,
      message = "interpolate: antialias needs mode bilinear or bicubic" },
    { call = function(m) m.interpolate(m.zeros { 1, 2, 4, 4 }, { scale_factor = 0.2 }) end,
      message = "interpolate: the result would have 0 rows (input 4x4)" },
    { call = function(m) m.interpolate(m.zeros { 1, 2, 0, 4 }, { size = 2 }) end,
      message = "interpolate: input is 0x4; must be 1x1 or more" },
    { call = function(m) m.interpolate(m.zeros { 2, 4, 4 }, { size = 2 }) end,
      message = "interpolate: input has 3 dimensions {2, 4, 4}; expected 4", hint = "x:unsqueeze(1)" },
    { call = function(m) m.interpolate(m.zeros { 1, 2, 4, 4 }, { size = 2, mode = "linear" }) end,
      message = 'interpolate: mode is "linear"; expected one of nearest, nearest-exact, bilinear, bicubic' },
    { call = function(m) m.interpolate(m.zeros { 1, 2, 4, 4 }, { size = 0 }) end,
      message = "interpolate: size is 0; must be 1 or more" },
  },
  tolerance = { float32 = 3e-6 },
}
