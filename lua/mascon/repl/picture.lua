--- Pictures in the terminal: as graphics where it draws some (graphics.lua), otherwise two pixels in a
-- character, one over the other.

local graphics = require "mascon.repl.graphics"
local layer = require "mascon.ffi"
local options = require "mascon.options"
local style = require "mascon.repl.style"

local M = {}

local SMALL = 320 -- pixels that smaller pictures are enlarged to

local RESET = "\27[0m"
local shades = { " ", "░", "▒", "▓", "█" }

--- The nearest colour of the 6 x 6 x 6 cube or of the 24 grays of a terminal with 256 colours.
local function index_of(r, g, b)
  local function level(v)
    return v < 48 and 0 or v < 115 and 1 or math.floor((v - 35) / 40)
  end
  local function distance(x, y, z)
    return (x - r) ^ 2 + (y - g) ^ 2 + (z - b) ^ 2
  end
  local function value(n)
    return n == 0 and 0 or 55 + 40 * n
  end
  local i, j, k = level(r), level(g), level(b)
  local gray = math.max(0, math.min(23, math.floor(((r + g + b) / 3 - 3) / 10)))
  local tone = 8 + 10 * gray
  if distance(tone, tone, tone) < distance(value(i), value(j), value(k)) then
    return 232 + gray
  end
  return 16 + 36 * i + 6 * j + k
end

local function color_code(ground, r, g, b)
  if style.true_color then
    return ("\27[%d;2;%d;%d;%dm"):format(ground, r, g, b)
  end
  return ("\27[%d;5;%dm"):format(ground, index_of(r, g, b))
end

local function fail(message, hint)
  options.fail("show", message, hint)
end

--- Whether a tensor can only be a picture: {C, H, W} of uint8.
local function is_surely(x)
  if not layer.is_tensor(x) or x.dtype ~= "uint8" then
    return false
  end
  local shape = x.shape
  return #shape == 3 and (shape[1] == 1 or shape[1] == 3) and shape[2] >= 8 and shape[3] >= 8
end

local function is_figure(v)
  local figure = package.loaded["mascon.plot.figure"]
  return figure ~= nil and figure.is_figure(v)
end

--- The picture's values in the order of its logical elements, what they are times 255, and its sizes.
local function pixels_of(x)
  local shape = x.shape
  if #shape == 4 and shape[1] == 1 then
    x, shape = x[1], { shape[2], shape[3], shape[4] }
  end
  if #shape ~= 3 or (shape[1] ~= 1 and shape[1] ~= 3) or shape[2] < 8 or shape[3] < 8 then
    fail(("tensor {%s} is no picture; expected {C, H, W} with C = 1 or 3, H and W of 8 or more")
      :format(table.concat(x.shape, ", ")), #shape == 4 and ":show x[1] shows the first of a batch"
      or #shape == 2 and ":show x:unsqueeze(1)" or nil)
  end
  local scale = 1
  if x.dtype:find "float" then
    local low, high = x:min():item(), x:max():item()
    if not (low >= -1e-3 and high <= 1.001) then
      fail(("values run from %.3g to %.3g; expected 0 to 1"):format(low, high),
        ":show (x - x:min()) / (x:max() - x:min())")
    end
    scale = 255
  elseif x.dtype ~= "uint8" then
    fail(("dtype is %s; expected uint8, or float in [0, 1]"):format(x.dtype))
  end
  local values = require("mascon.tensor").read(x:detach(), "show")
  return { values = values, scale = scale, channels = shape[1], height = shape[2], width = shape[3] }
end

--- The mean colour of the pixels in a part of the picture.
local function mean(p, x0, x1, y0, y1)
  x0, y0 = math.floor(x0), math.floor(y0)
  x1, y1 = math.max(x0, math.ceil(x1) - 1), math.max(y0, math.ceil(y1) - 1)
  local sums, n = { 0, 0, 0 }, (x1 - x0 + 1) * (y1 - y0 + 1)
  for c = 1, 3 do
    local plane = p.channels == 3 and (c - 1) * p.height * p.width or 0
    local sum = 0
    for y = y0, y1 do
      for x = x0, x1 do
        sum = sum + p.values[plane + y * p.width + x]
      end
    end
    sums[c] = math.max(0, math.min(255, math.floor(sum / n * p.scale + 0.5)))
  end
  return sums[1], sums[2], sums[3]
end

--- A picture, or a figure, drawn with characters of at most `width` columns.
local function with_characters(v, width)
  if is_figure(v) then
    return v:text { width = math.max(20, width - 1) }
  end
  local p = pixels_of(v)
  local columns = math.min(p.width, width - 1, 100)
  local step = p.width / columns
  local rows = math.max(1, math.floor(p.height / step / 2 + 0.5))
  local high = p.height / rows
  local lines = {}
  for row = 0, rows - 1 do
    local cells = {}
    for column = 0, columns - 1 do
      local x0, x1, y0 = column * step, (column + 1) * step, row * high
      if style.on then
        cells[column + 1] = color_code(38, mean(p, x0, x1, y0, y0 + high / 2))
          .. color_code(48, mean(p, x0, x1, y0 + high / 2, y0 + high)) .. "▀"
      else
        local r, g, b = mean(p, x0, x1, y0, y0 + high)
        cells[column + 1] = shades[math.floor((0.299 * r + 0.587 * g + 0.114 * b) / 255 * 4 + 0.5) + 1]
      end
    end
    lines[row + 1] = table.concat(cells) .. (style.on and RESET or "")
  end
  return table.concat(lines, "\n")
end

-- As graphics ---------------------------------------------------------------------------------------------

--- RGB bytes of the picture in another size.
local function resized(p, width, height)
  local rgb = layer.new("uint8_t[?]", width * height * 3)
  local across, down = p.width / width, p.height / height
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      local at = (y * width + x) * 3
      rgb[at], rgb[at + 1], rgb[at + 2] = mean(p, x * across, (x + 1) * across, y * down, (y + 1) * down)
    end
  end
  return rgb
end

local function drawn(p, protocol, terminal)
  local wide, high, cell = graphics.room(terminal)
  local factor = math.min(wide / p.width, high / p.height, math.max(1, SMALL / math.max(p.width, p.height)))
  if factor > 1 then
    factor = math.floor(factor) -- pixels stay squares
  end
  local width, height = math.floor(p.width * factor + 0.5), math.floor(p.height * factor + 0.5)
  width, height = math.max(1, width), math.max(1, height)
  return graphics.text(protocol, resized(p, width, height), width, height, cell)
end

--- A figure through a PNG file of gnuplot; nil where that cannot be made.
local function drawn_figure(f, protocol, terminal)
  local path = os.tmpname()
  local png = path .. ".png"
  local good, bytes = pcall(function()
    f:save(png)
    local file = assert(io.open(png, "rb"))
    local s = file:read "*a"
    file:close()
    return s
  end)
  os.remove(path)
  os.remove(png)
  if not good then
    return nil
  end
  local p = pixels_of(require("mascon.image").decode(bytes))
  local wide, high, cell = graphics.room(terminal)
  if protocol == "kitty" and cell and p.width <= wide and p.height <= high then
    return graphics.png(bytes) -- a tenth of the bytes
  end
  return drawn(p, protocol, terminal)
end

--- The text that shows a picture or a figure.
---@param v any tensor {C, H, W} of uint8 or float in [0, 1]; mascon.plot.Figure
---@param terminal table size(), ask(text, milliseconds)
---@return string
function M.text(v, terminal)
  if not is_figure(v) and not layer.is_tensor(v) then
    fail(("%s is no picture; expected a tensor {C, H, W} or a figure"):format(options.show(v)))
  end
  local protocol = graphics.protocol(terminal)
  local text
  if protocol ~= "blocks" then
    text = is_figure(v) and drawn_figure(v, protocol, terminal)
      or layer.is_tensor(v) and drawn(pixels_of(v), protocol, terminal)
  end
  return text or with_characters(v, (terminal.size()))
end

--- The text for a value at the prompt that is a figure, or a tensor that can only be a picture; nil for
--- others, and where nothing shall be drawn.
---@param v any
---@param terminal table
---@return string?
function M.of_value(v, terminal)
  local figure = is_figure(v)
  if not (figure or is_surely(v)) or not style.on and graphics.protocol(terminal) == "blocks"
    or graphics.setting() == "off" then
    return nil
  elseif figure then
    return M.text(v, terminal)
  end
  return M.text(v, terminal) .. "\n" .. ("tensor(%s {%s} %s)"):format(v.dtype, table.concat(v.shape, ", "),
    tostring(v.device))
end

return M
