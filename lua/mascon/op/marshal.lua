--- Options of a Lua call, checked and written into the call record.
-- What Lua counts from 1 (dims, positions) is converted here and nowhere else.

local layer = require "mascon.ffi"
local options = require "mascon.options"

local C, call = layer.C, layer.call
local M = {}

local attrs_of_call = call.attr

--- Writes slot values and marks them as given.
function M.put(slot, value)
  attrs_of_call[slot] = value
  call.attr_set = bit.bor(call.attr_set, bit.lshift(1, slot))
end

local function whole(name, attr, v)
  if type(v) ~= "number" then
    options.fail(name, ("%s is %s; expected a number"):format(attr.name, options.show(v)))
  end
  return v
end

local function from_one(name, attr, v)
  whole(name, attr, v)
  if v > 0 then
    return v - 1
  elseif v == 0 then
    if attr.type == "index" then
      options.fail(name, "0 is not an index; the first element is 1")
    end
    options.fail(name, "0 is not a dimension; the first dimension is 1")
  end
  return v
end

local function pair(name, attr, v)
  if type(v) == "table" then
    if #v ~= 2 and #v ~= 1 then
      options.fail(name, ("%s has %d values; expected a number or {vertical, horizontal}")
        :format(attr.name, #v))
    end
    M.put(attr.slot, whole(name, attr, v[1]))
    M.put(attr.slot + 1, whole(name, attr, v[2] or v[1]))
  else
    M.put(attr.slot, whole(name, attr, v))
    M.put(attr.slot + 1, v)
  end
end

local function put_list(name, attr, v, convert)
  if type(v) == "number" then
    v = { v }
  elseif type(v) ~= "table" then
    options.fail(name, ("%s is %s; expected numbers"):format(attr.name, options.show(v)))
  end
  if #v > 8 then
    options.fail(name, ("%s has %d values; at most 8 are supported"):format(attr.name, #v))
  end
  M.put(attr.slot, #v)
  for i = 1, #v do
    M.put(attr.slot + i, convert(name, attr, v[i]))
  end
end

local writers = {
  number = function(name, attr, v) M.put(attr.slot, whole(name, attr, v)) end,
  integer = function(name, attr, v) M.put(attr.slot, whole(name, attr, v)) end,
  boolean = function(name, attr, v)
    if type(v) ~= "boolean" then
      options.fail(name, ("%s is %s; expected true or false"):format(attr.name, options.show(v)))
    end
    M.put(attr.slot, v and 1 or 0)
  end,
  pair = pair,
  padding = function(name, attr, v)
    if v == "same" then
      M.put(attr.slot, -1)
      M.put(attr.slot + 1, -1)
    elseif v == "valid" then
      M.put(attr.slot, 0)
      M.put(attr.slot + 1, 0)
    elseif type(v) == "string" then
      options.fail(name, ('%s is "%s"; expected a number, {vertical, horizontal}, "same" or "valid"')
        :format(attr.name, v))
    else
      pair(name, attr, v)
      if attrs_of_call[attr.slot] < 0 or attrs_of_call[attr.slot + 1] < 0 then
        options.fail(name, ("%s is %g; must be 0 or more"):format(attr.name,
          math.min(attrs_of_call[attr.slot], attrs_of_call[attr.slot + 1])))
      end
    end
  end,
  dim = function(name, attr, v) M.put(attr.slot, from_one(name, attr, v)) end,
  index = function(name, attr, v) M.put(attr.slot, from_one(name, attr, v)) end,
  base = function(name, attr, v) M.put(attr.slot, whole(name, attr, v)) end,
  dims = function(name, attr, v) put_list(name, attr, v, from_one) end,
  sizes = function(name, attr, v) put_list(name, attr, v, whole) end,
  choice = function(name, attr, v)
    for i, choice in ipairs(attr.choices) do
      if choice == v then
        return M.put(attr.slot, i - 1)
      end
    end
    options.fail(name, ("%s is %s; expected one of %s"):format(attr.name, options.show(v),
      table.concat(attr.choices, ", ")))
  end,
  dtype = function(name, attr, v)
    M.put(attr.slot, M.dtype(name, v))
  end,
  device = function(name, attr, v)
    M.put(attr.slot, M.device(name, v))
  end,
}

local dtype_names = "float64 float32 bfloat16 float16 int64 int32 uint8 bool"

--- The number of a dtype name (D10).
---@param prefix string
---@param v any
function M.dtype(prefix, v)
  local id = type(v) == "string" and C.mascon_dtype_find(v) or -1
  if id < 0 then
    options.fail(prefix, ("unknown dtype %s"):format(options.show(v)), dtype_names)
  end
  return id
end

--- The number of a device name ("cpu", "cuda", "cuda:1"); checks that it exists (D11, D12).
---@param prefix string
---@param v any
function M.device(prefix, v)
  if v == "cpu" then
    return 0
  end
  local index = type(v) == "string" and (v == "cuda" and "0" or v:match "^cuda:(%d+)$")
  if not index then
    options.fail(prefix, ("unknown device %s"):format(options.show(v)), prefix == "to"
      and "cpu, cuda, cuda:1 ... or a dtype: float32, bfloat16, int64 ..." or "cpu, cuda, cuda:1 ...")
  end
  local why = layer.new "const char *[1]"
  local count = C.mascon_device_count(C.MASCON_DEVICE_CUDA, why)
  if count == 0 then
    local reason = layer.string(why[0])
    local missing = reason:find("libmascon_cuda.so not found", 1, true)
    options.fail(prefix, missing and "this build has no CUDA backend" or "CUDA cannot be used here", reason)
  elseif tonumber(index) >= count then
    local list = count == 1 and "cuda:0" or "cuda:0..cuda:" .. count - 1
    options.fail(prefix, ("device cuda:%s does not exist; this machine has %s"):format(index, list))
  end
  return C.MASCON_DEVICE_CUDA + tonumber(index)
end

local function option_names(row)
  local names = {}
  for _, attr in ipairs(row.attrs) do
    if attr.type ~= "base" then
      names[#names + 1] = attr.name
    end
  end
  return names
end

function M.put_named(row, name, given)
  for key, v in pairs(given) do
    if type(key) == "string" then
      local attr = row.by_name[key]
      if not attr then
        options.unknown(name, key, option_names(row))
      end
      writers[attr.type](name, attr, v)
    end
  end
end

function M.set_base(row)
  for _, attr in ipairs(row.attrs) do
    if attr.type == "base" then
      M.put(attr.slot, 1)
    end
  end
end

local function takes_list(attr)
  return attr and (attr.type == "dims" or attr.type == "sizes")
end

--- Options by position: each value fills the next option; a list option takes a table or all the
--- numbers that follow; the array part of a table is such a value, its string keys are options.
function M.put_positional(row, name, args, first, n)
  local index = 1
  local function next_attr(v)
    local attr = row.attrs[index]
    if not attr or attr.type == "base" then
      options.fail(name, ("too many arguments: %s"):format(options.show(v)))
    end
    index = index + 1
    return attr
  end
  local i = first
  while i <= n do
    local v = args[i]
    if type(v) == "table" then
      local is_empty = next(v) == nil
      if v[1] ~= nil or (is_empty and takes_list(row.attrs[index])) then
        local attr = next_attr(v)
        writers[attr.type](name, attr, v)
      end
      M.put_named(row, name, v)
    elseif v == nil then
      index = index + 1
    else
      local attr = next_attr(v)
      if takes_list(attr) then
        local numbers = {}
        while type(args[i]) == "number" and i <= n do
          numbers[#numbers + 1] = args[i]
          i = i + 1
        end
        if #numbers == 0 then
          options.fail(name, ("%s is %s; expected numbers"):format(attr.name, options.show(v)))
        end
        writers[attr.type](name, attr, numbers)
        i = i - 1
      else
        writers[attr.type](name, attr, v)
      end
    end
    i = i + 1
  end
end

return M
