-- Samples of picture_batch: {row, offset, down, right, top, left, rows, columns} of each picture.
local S = require "spec.support.sample"
local op = require "mascon.op"

local W, C = 5, 3 -- of pictures {4, 3, 4, 5}
local views = S.values({
  { 2, 0, W * C, C, 0, 0, 4, 5 },              -- whole
  { 0, 4 * C, W * C, -C, 0, 0, 4, 5 },         -- mirrored
  { 3, 15 * C, -W * C, C, 1, 0, 4, 5 },        -- upside down, below a border
  { 1, 6 * C, W * C, C, 0, 2, 3, 4 },          -- cropped, to the right of a border
  { 1, 0, W * C, C, 0, 0, 0, 0 },              -- nothing but border
  { 9, 0, W * C, C, 0, 0, 4, 5 },              -- no such picture
  { 0, 19 * C, W * C, C, 0, 0, 4, 5 },         -- runs out of the picture
}, "int32")
local pictures, labels = S.int({ 4, 3, 4, 5 }, 0, 255, "uint8"), S.int({ 4 }, 1, 10)

local function run(m, first, count, channels)
  return op.run("picture_batch", "picture_batch", false, m.zeros({ 4, 3, 4, 5 }, { dtype = "uint8" }),
    m.zeros({ 4 }, { dtype = "int64" }), m.zeros({ 2, 8 }, { dtype = "int32" }), m.zeros { channels, 257 },
    { first = first, count = count, size = 4 })
end

return {
  samples = {
    { args = { pictures, labels, views, S.randn { 3, 257 } },
      options = { first = 0, count = 7, size = { 5, 6 } }, grad = false },
    { args = { pictures, labels, views, S.randn { 3, 257 } },
      options = { first = 2, count = 3, size = { 4, 5 } }, grad = false },
    { args = { pictures, labels, views, S.int({ 3, 257 }, 0, 255, "uint8") },
      options = { first = 1, count = 2, size = { 3, 2 } }, grad = false },
    { args = { pictures, labels, views, S.randn { 3, 257 } },
      options = { first = 7, count = 0, size = { 4, 5 } }, grad = false },
  },
  errors = {
    { call = function(m) run(m, 1, 2, 3) end, message = "picture_batch: pictures 2..3 of 2" },
    { call = function(m) run(m, 0, 2, 2) end,
      message = "picture_batch: table has 2 rows, the pictures 3 channels" },
  },
  tolerance = { float32 = 1e-7 },
  half = false,
}
