--- Reads what users pass to figures: numbers, series, matrices, pictures, names.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local tensor = require "mascon.tensor"

local is_tensor = layer.is_tensor
local M = {}

--- A list of numbers from a Lua list or a tensor {n}.
function M.numbers(name, what, v)
  if is_tensor(v) then
    if v:dim() ~= 1 then
      options.fail(name, ("%s is {%s}; expected {n}"):format(what, table.concat(v.shape, ", ")))
    end
    v = v:totable()
  elseif type(v) ~= "table" then
    options.fail(name, ("%s is %s; expected a list of numbers"):format(what, options.show(v)))
  end
  for i, item in ipairs(v) do
    if type(item) ~= "number" then
      options.fail(name, ("value %d of %s is %s; expected a number"):format(i, what,
        options.show(item)))
    end
  end
  if #v == 0 then
    options.fail(name, ("%s has no values"):format(what))
  end
  return v
end

--- Series as a list {name =, y =}: from {name = list, …} in the order of the names, from
--- {{"name", list}, …} in the order given, or from one list.
function M.series(name, given)
  if is_tensor(given) or type(given) == "table" and type(given[1]) == "number" then
    return { { y = M.numbers(name, "series 1", given) } }
  elseif type(given) ~= "table" then
    options.fail(name, ("argument 1 is %s; expected series, such as {train = {...}}"):format(
      options.show(given)))
  end
  local list, names = {}, {}
  for i, item in ipairs(given) do
    if is_tensor(item) or type(item) == "table" and type(item[1]) ~= "string" then
      list[i] = { y = M.numbers(name, "series " .. i, item) }
    elseif type(item) == "table" then
      list[i] = { name = item[1], y = M.numbers(name, item[1], item[2]) }
    else
      options.fail(name, ('series %d is %s; expected {"name", {numbers}}'):format(i,
        options.show(item)))
    end
  end
  for key in pairs(given) do
    if type(key) == "string" then
      names[#names + 1] = key
    end
  end
  table.sort(names)
  for _, key in ipairs(names) do
    list[#list + 1] = { name = key, y = M.numbers(name, key, given[key]) }
  end
  if #list == 0 then
    options.fail(name, "no series given")
  end
  return list
end

--- Rows of numbers from a tensor {rows, columns} or a list of lists; the number of columns.
---@return number[][], integer
function M.matrix(name, v)
  if is_tensor(v) then
    if v:dim() ~= 2 then
      options.fail(name, ("argument 1 is {%s}; expected {rows, columns}"):format(
        table.concat(v.shape, ", ")))
    elseif v:numel() == 0 then
      options.fail(name, "argument 1 has no values")
    end
    local rows = v:detach():to("float64"):totable()
    return rows, #rows[1]
  elseif type(v) ~= "table" or type(v[1]) ~= "table" then
    options.fail(name, ("argument 1 is %s; expected a tensor {rows, columns} or a list of rows"):format(
      options.show(v)))
  end
  for i, row in ipairs(v) do
    if type(row) ~= "table" then
      options.fail(name, ("row %d is %s; expected a list of numbers"):format(i, options.show(row)))
    end
    M.numbers(name, "row " .. i, row)
    if #row ~= #v[1] then
      options.fail(name, ("row %d has %d values, row 1 has %d"):format(i, #row, #v[1]))
    end
  end
  return v, #v[1]
end

--- A list of n texts; numbers become texts.
---@return string[]?
function M.names(name, what, v, n)
  if v == nil then
    return nil
  end
  local list = {}
  for i, item in ipairs(v) do
    if type(item) ~= "string" and type(item) ~= "number" then
      options.fail(name, ("%s has a %s at %d; expected strings"):format(what, type(item), i))
    end
    list[i] = tostring(item)
  end
  if #list ~= n then
    options.fail(name, ("%s has %d names; expected %d"):format(what, #list, n))
  end
  return list
end

-- Pictures ----------------------------------------------------------------------------------------------

--- Bytes of one channel value: uint8 as it is, floats from 0..1, everything cut off at the ends.
local function to_byte(v)
  if v ~= v then
    return 0
  end
  return math.floor(math.max(0, math.min(255, v)) + 0.5)
end

--- One picture of the values at `first` (channels * height * width of them) as {width, height, rgb}.
-- Larger ones than `most` pixels a side are shrunk by taking means.
local function one_picture(data, first, channels, height, width, low, scale, most)
  local step = math.max(1, math.ceil(math.max(height, width) / most))
  local out_width, out_height = math.ceil(width / step), math.ceil(height / step)
  local rgb, plane = layer.new("uint8_t[?]", out_width * out_height * 3), height * width
  for c = 0, 2 do
    local start = first + (channels == 3 and c or 0) * plane
    for y = 0, out_height - 1 do
      for x = 0, out_width - 1 do
        local sum, count = 0, 0
        for v = y * step, math.min(height, (y + 1) * step) - 1 do
          for u = x * step, math.min(width, (x + 1) * step) - 1 do
            sum, count = sum + data[start + v * width + u], count + 1
          end
        end
        rgb[(y * out_width + x) * 3 + c] = to_byte((sum / count - low) * scale)
      end
    end
  end
  return { width = out_width, height = out_height, rgb = rgb }
end

--- Smallest and largest finite of n values.
local function bounds(data, first, n)
  local low, high
  for i = first, first + n - 1 do
    local v = data[i]
    if v == v and math.abs(v) < math.huge then
      low, high = math.min(low or v, v), math.max(high or v, v)
    end
  end
  return low or 0, high or 1
end

--- Pictures {width =, height =, rgb = bytes} of a tensor {N, C, H, W} or a list of tensors {C, H, W}.
---@param stretch boolean each picture's smallest value becomes black, its largest white
---@param most integer pixels of a side
function M.pictures(name, X, stretch, most)
  local list, batches = {}, { X }
  if type(X) == "table" and getmetatable(X) == nil then
    batches = X
    if #X == 0 then
      options.fail(name, "argument 1 is empty; expected pictures {N, C, H, W}")
    end
  end
  for i, x in ipairs(batches) do
    local what = batches == X and "picture " .. i or "argument 1"
    if not is_tensor(x) then
      options.fail(name, ("%s is %s; expected a tensor of pictures {N, C, H, W}"):format(what,
        options.show(x)))
    end
    local shape, dtype = x.shape, x.dtype
    local hint = #shape == 3 and batches ~= X and "x:unsqueeze(1) makes a batch of one picture" or nil
    if #shape ~= (batches == X and 3 or 4) then
      options.fail(name, ("%s is {%s}; expected %s"):format(what, table.concat(shape, ", "),
        batches == X and "{C, H, W}" or "{N, C, H, W}"), hint)
    end
    local channels, height, width = shape[#shape - 2], shape[#shape - 1], shape[#shape]
    if channels ~= 1 and channels ~= 3 then
      options.fail(name, ("pictures have %d channels; expected 1 (grey) or 3 (red, green, blue)"):format(
        channels))
    elseif dtype ~= "uint8" and not dtype:find "float" then
      options.fail(name, ("pictures are %s; expected uint8 (0..255) or floats (0..1)"):format(dtype))
    elseif x:numel() == 0 then
      options.fail(name, ("%s is {%s}; there is nothing to draw"):format(what, table.concat(shape, ", ")))
    end
    local data = tensor.read(x:detach():cpu(), name)
    local size = channels * height * width
    for k = 0, x:numel() / size - 1 do
      local low, scale = 0, dtype == "uint8" and 1 or 255
      if stretch then
        local least, greatest = bounds(data, k * size, size)
        low, scale = least, greatest > least and 255 / (greatest - least) or 0
      end
      list[#list + 1] = one_picture(data, k * size, channels, height, width, low, scale, most)
    end
  end
  return list
end

return M
