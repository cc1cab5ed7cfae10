--- mascon.image: pictures as files: JPEG and PNG to uint8 tensors {C, H, W} and back.
-- The format of a file is told by its content. Gray pictures have one channel. The orientation that a
-- camera notes in a file is not applied unless `orientation = true` (JPEG only).

local layer = require "mascon.ffi"
local options = require "mascon.options"
local raise = require "mascon.raise"

local C = layer.C
local M = {}

--- Larger pictures are refused before memory is taken for them.
M.MAX_PIXELS = 64e6

local spec = {
  { "max_pixels", M.MAX_PIXELS, "integer", min = 1 },
  { "channels", nil, "integer", choices = { 3 } },
  { "strict", true, "boolean" },
  { "orientation", false, "boolean" },
}

--- The C struct of checked options.
function M.options(o)
  local c = layer.new "mascon_image_options[1]"
  c[0].max_pixels = o.max_pixels
  c[0].channels = o.channels or 0
  c[0].lenient = o.strict == false
  c[0].orientation = o.orientation or false
  return c
end

local damaged_box = layer.new "int32_t[1]"

local function decoded(status, name, o, path)
  local box = layer.tensor_box
  if status ~= 0 and path then
    local e = C.mascon_last_error()
    if not layer.string(e.message):find(path, 1, true) then
      raise.raise(name, layer.string(e.message), "  file " .. path, layer.string(e.hint))
    end
  end
  layer.check(status, name)
  if o.strict then
    return layer.wrap(box[0])
  end
  return layer.wrap(box[0]), damaged_box[0] ~= 0
end

--- Reads a JPEG or PNG file.
---@param path string
---@param given? table max_pixels = 64e6; channels = 3 (gray is repeated, alpha dropped);
---  strict = true (false: a damaged JPEG is read as far as it goes, and a second value says whether it
---  was damaged); orientation = false (true: apply the camera's)
---@return mascon.Tensor, boolean?
function M.read(path, given)
  options.check("image.read", { "path", nil, "string" }, path)
  local o = options.read("image.read", given, spec)
  return decoded(C.mascon_image_read(path, M.options(o), layer.tensor_box, damaged_box),
    "image.read", o, path)
end

--- As read, of the bytes of a file.
---@param bytes string
---@param given? table
---@return mascon.Tensor, boolean?
function M.decode(bytes, given)
  options.check("image.decode", { "bytes", nil, "string" }, bytes)
  local o = options.read("image.decode", given, spec)
  return decoded(C.mascon_image_decode(bytes, #bytes, M.options(o), layer.tensor_box, damaged_box),
    "image.decode", o)
end

--- Writes a uint8 tensor {C, H, W} as .png (1 to 4 channels) or .jpg (1 or 3 channels).
---@param path string
---@param x mascon.Tensor
---@param given? table quality = 75 of a JPEG
function M.write(path, x, given)
  options.check("image.write", { "path", nil, "string" }, path)
  local o = options.read("image.write", given, { { "quality", 75, "integer", min = 1, max = 100 } })
  local extension = (path:match "%.([^./]*)$" or ""):lower()
  local formats = { png = C.MASCON_IMAGE_PNG, jpg = C.MASCON_IMAGE_JPEG, jpeg = C.MASCON_IMAGE_JPEG }
  if not formats[extension] then
    options.fail("image.write", ('path ends in ".%s"; expected .png, .jpg or .jpeg')
      :format(extension))
  end
  if not layer.is_tensor(x) then
    options.fail("image.write", ("picture is %s; expected a tensor {channels, height, width}")
      :format(options.show(x)))
  end
  layer.check(C.mascon_image_write(path, x.h, formats[extension], o.quality), "image.write")
end

--- A picture (or a batch) of another size, with the bytes that Pillow gives: {height, width}, or a
--- number for the shorter side.
---@param x mascon.Tensor uint8
---@param size integer|integer[]
---@param given? table interpolation = "bilinear" ("nearest", "bicubic"), antialias = true, max_size
---@return mascon.Tensor
function M.resize(x, size, given)
  local o = { size = size }
  for key, v in pairs(given or {}) do
    o[key] = v
  end
  return require("mascon.transforms").Resize(o)(x)
end

return M
