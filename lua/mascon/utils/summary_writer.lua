--- SummaryWriter: scalars and pictures for TensorBoard.
-- An event file is a sequence of records: length (u64), masked CRC-32C of the length, an Event message,
-- masked CRC-32C of the message. Messages are protocol buffers with these fields:
--   Event    1 wall_time double   2 step int64   3 file_version string   5 summary Summary
--   Summary  1 value Value (repeated)
--   Value    1 tag string   2 simple_value float   4 image Image   9 metadata Metadata
--   Image    1 height   2 width   3 colorspace (1 grey, 3 RGB)   4 encoded_image_string (a PNG file)

local crc = require "mascon.utils.crc"
local files = require "mascon.utils.files"
local image = require "mascon.image"
local layer = require "mascon.ffi"
local options = require "mascon.options"

local is_tensor = layer.is_tensor

---@class mascon.utils.SummaryWriter
---@field path string the event file
local Writer = {}
Writer.__index = Writer

-- Protocol buffers ----------------------------------------------------------------------------------------

local char, floor = string.char, math.floor

--- The little-endian bytes of n, 0 <= n < 2^53.
local function little(n, count)
  local bytes = {}
  for i = 1, count do
    bytes[i] = char(n % 256)
    n = floor(n / 256)
  end
  return table.concat(bytes)
end

--- A number of up to 53 bits; negative ones take ten bytes, in two's complement.
local function varint(n)
  local bytes = {}
  if n < 0 then
    local rest = -n - 1 -- the complement has its bits turned
    for i = 1, 9 do
      bytes[i] = char(255 - rest % 128)
      rest = floor(rest / 128)
    end
    return table.concat(bytes) .. "\1"
  end
  while n >= 128 do
    bytes[#bytes + 1] = char(128 + n % 128)
    n = floor(n / 128)
  end
  return table.concat(bytes) .. char(n)
end

local function key(field, wire)
  return varint(field * 8 + wire)
end

local function integer_field(field, n)
  return key(field, 0) .. varint(n)
end

local function bytes_field(field, s)
  return key(field, 2) .. varint(#s) .. s
end

local function raw(ctype, v)
  local box = layer.new(ctype .. "[1]", v)
  return layer.string(layer.cast("const char *", box), layer.sizeof(box))
end

local function double_field(field, v)
  return key(field, 1) .. raw("double", v)
end

local function float_field(field, v)
  return key(field, 5) .. raw("float", v)
end

-- Records ------------------------------------------------------------------------------------------------

--- A check sum turned by 15 bits plus a constant, as the format wants it.
local function masked(s)
  local sum = crc.crc32c(s)
  local turned = floor(sum / 2 ^ 15) + sum % 2 ^ 15 * 2 ^ 17
  return little((turned + 0xa282ead8) % 2 ^ 32, 4)
end

local function write_record(self, message)
  local length = little(#message, 8)
  files.write(self.file, "SummaryWriter", self.path, length, masked(length), message, masked(message))
end

local function check_open(self, name)
  if not self.file then
    options.fail(name, ("the writer of %s is closed"):format(self.path))
  end
end

local function write_value(self, name, tag, step, value)
  check_open(self, name)
  options.check(name, { "tag", nil, "string" }, tag)
  options.check(name, { "step", nil, "integer" }, step)
  write_record(self, double_field(1, files.time()) .. integer_field(2, step)
    .. bytes_field(5, bytes_field(1, bytes_field(1, tag) .. value)))
end

-- The writer ---------------------------------------------------------------------------------------------

local opened = 0 -- writers of this program, so that two of one second have files of their own

--- Writes events to a new file in a folder, which is made where it is missing.
---   local writer = mascon.utils.SummaryWriter "runs/first"    tensorboard --logdir runs
---@param dir string
---@return mascon.utils.SummaryWriter
local function SummaryWriter(dir)
  options.check("SummaryWriter", { "dir", nil, "string" }, dir)
  files.make_folder("SummaryWriter", dir)
  opened = opened + 1
  local path = ("%s/events.out.tfevents.%010d.mascon.%s.%d"):format(dir, os.time(), files.unique(), opened)
  local self = setmetatable({ path = path, file = files.open("SummaryWriter", path, "wb") }, Writer)
  write_record(self, double_field(1, files.time()) .. bytes_field(3, "brain.Event:2"))
  self.file:flush()
  return self
end

--- Adds a point to the curve `tag`.
---@param tag string "loss/train"
---@param value number|mascon.Tensor a tensor has one element
---@param step integer
function Writer:add_scalar(tag, value, step)
  if is_tensor(value) then
    value = value:item()
  end
  options.check("add_scalar", { "value", nil, "number" }, value)
  write_value(self, "add_scalar", tag, step, float_field(2, value))
  return self
end

--- The picture as bytes 0..255: floats are 0..1, what lies outside is cut off.
local function to_bytes(x)
  local shape = x.shape
  if #shape ~= 3 or shape[1] ~= 1 and shape[1] ~= 3 then
    options.fail("add_image", ("the picture is {%s}; expected {1, H, W} or {3, H, W}"):format(
      table.concat(shape, ", ")), #shape == 4 and "x[1] is the first picture of a batch" or nil)
  elseif x:numel() == 0 then
    options.fail("add_image", ("the picture is {%s}; it has no pixels"):format(table.concat(shape, ", ")))
  elseif x.dtype == "uint8" then
    return x
  elseif not x.dtype:find "float" then
    options.fail("add_image", ("the picture is %s; expected uint8 (0..255) or floats (0..1)"):format(
      x.dtype))
  end
  local y = x:detach():float()
  return (y:masked_fill(y:isnan(), 0) * 255):clamp(0, 255):round():to "uint8"
end

--- The picture as a PNG file.
local function encode(x)
  local path = os.tmpname()
  local name = path .. ".png"
  local good, err = pcall(image.write, name, to_bytes(x):cpu())
  local file = good and io.open(name, "rb")
  local bytes = file and file:read "*a"
  if file then
    file:close()
  end
  os.remove(name)
  os.remove(path)
  if not bytes then
    error(good and ("add_image: %s cannot be read"):format(name) or err, 0)
  end
  return bytes
end

--- Adds a picture {C, H, W} with 1 or 3 channels: uint8 (0..255) or floats (0..1).
---@param tag string
---@param x mascon.Tensor
---@param step integer
function Writer:add_image(tag, x, step)
  if not is_tensor(x) then
    options.fail("add_image", ("argument 2 is %s; expected a tensor {C, H, W}"):format(options.show(x)))
  end
  check_open(self, "add_image")
  local bytes, shape = encode(x), x.shape
  write_value(self, "add_image", tag, step, bytes_field(4, integer_field(1, shape[2])
    .. integer_field(2, shape[3]) .. integer_field(3, shape[1]) .. bytes_field(4, bytes)))
  return self
end

--- Makes what was added visible to readers of the file.
function Writer:flush()
  check_open(self, "flush")
  files.check("SummaryWriter", self.path, self.file:flush())
  return self
end

--- Ends the file; a second call does nothing.
function Writer:close()
  local file = self.file
  self.file = nil
  if file then
    files.check("SummaryWriter", self.path, file:close())
  end
end

return SummaryWriter
