--- net:summary{1, 3, 32, 32}: what a network consists of and what a batch does to it.
-- The batch goes through the network once, in eval() and without recording; forward hooks note the shape
-- of what each module returns. Modes and statistics are as before afterwards.

local autograd = require "mascon.autograd"
local create = require "mascon.create"
local layer = require "mascon.ffi"
local module = require "mascon.nn.module"
local options = require "mascon.options"
local text = require "mascon.text"

local C, is_tensor = layer.C, layer.is_tensor
local M = {}

---@class mascon.nn.Summary
---@field rows table[] {name, kind, output_shape, parameters, trainable, calls}
---@field parameters integer
---@field trainable integer
---@field memory table {parameters, buffers, activations} in bytes
local Summary = {}
Summary.__index = Summary

local function bytes_of(t)
  return t:numel() * tonumber(C.mascon_dtype_size(C.mascon_dtype_find(t.dtype)))
end

local function shape_text(shape)
  return "{" .. table.concat(shape, ", ") .. "}"
end

-- Input -------------------------------------------------------------------------------------------------

--- The dtype and device of the first floating parameter or buffer.
local function home_of(net)
  for _, list in ipairs { net:parameters(), net:buffers() } do
    for _, t in ipairs(list) do
      if t.dtype:find "float" then
        return t.dtype, t.device
      end
    end
  end
  return "float32", "cpu"
end

--- The inputs: tensors as they are, sizes as tensors of zeros.
local function inputs_of(net, given, dtype)
  local home_dtype, device = home_of(net)
  local list, described = {}, {}
  local items = given
  if is_tensor(given) or type(given) == "table" and type(given[1]) == "number" then
    items = { given }
  elseif type(given) ~= "table" or #given == 0 then
    options.fail("summary", ("argument 1 is %s; expected the sizes of a batch, such as {1, 3, 32, 32}")
      :format(options.show(given)))
  end
  for i, item in ipairs(items) do
    if is_tensor(item) then
      list[i] = item
    else
      list[i] = create.zeros(options.sizes("summary", "sizes", item),
        { dtype = dtype or home_dtype, device = device })
    end
    described[i] = shape_text(list[i].shape)
  end
  return list, table.concat(described, ", ")
end

-- Run ---------------------------------------------------------------------------------------------------

--- Notes the tensors of a result and of the tables in it; calls fn(t) for each.
local function each_tensor(v, fn, seen)
  if is_tensor(v) then
    fn(v)
  elseif type(v) == "table" and getmetatable(v) == nil and not seen[v] then
    seen[v] = true
    for _, item in pairs(v) do
      each_tensor(item, fn, seen)
    end
  end
end

local function output_text(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    parts[i] = is_tensor(v) and shape_text(v.shape) or type(v)
  end
  return table.concat(parts, " ")
end

--- Runs the batch through the network with a hook on each module; undoes everything.
local function run(net, inputs, by_module, memory)
  local handles, modes, storages = {}, {}, {}
  for i, m in ipairs(net:modules()) do
    modes[i] = { m, m.training }
    local is_leaf = #m:children() == 0
    handles[i] = m:register_forward_hook(function(_, _, ...)
      local row = by_module[m]
      row.calls = row.calls + 1
      row.output_shape = row.output_shape or output_text(...)
      if is_leaf then
        each_tensor({ ... }, function(t)
          -- what shares its memory with something that is already counted costs nothing
          local id = tostring(C.mascon_tensor_storage_id(t.h))
          if not storages[id] then
            storages[id] = true
            memory.activations = memory.activations + bytes_of(t)
          end
        end, {})
      end
    end)
  end
  for _, x in ipairs(inputs) do
    storages[tostring(C.mascon_tensor_storage_id(x.h))] = true
  end
  net:eval()
  local good, err = pcall(autograd.inference_mode, function()
    net(unpack(inputs))
  end)
  for i, handle in ipairs(handles) do
    handle.remove()
    modes[i][1].training = modes[i][2]
  end
  if not good then
    error(err, 0)
  end
end

--- The summary of a network for inputs of the given sizes.
---@param net mascon.nn.Module
---@param sizes integer[]|mascon.Tensor|table sizes of the input, a tensor, or a list of both for several
---@param given? table dtype of the inputs (the parameters' otherwise)
---@return mascon.nn.Summary
function M.make(net, sizes, given)
  if not module.is_module(net) then
    options.fail("summary", "call it as a method: net:summary{1, 3, 32, 32}")
  end
  if type(sizes) == "table" and sizes.dtype then
    given = given or { dtype = sizes.dtype }
  end
  local o = options.read("summary", given, { { "dtype", nil, "string" } })
  local inputs, described = inputs_of(net, sizes, o.dtype)
  local self = setmetatable({
    rows = {}, parameters = 0, trainable = 0, kind = net.class_name, input = described,
    memory = { parameters = 0, buffers = 0, activations = 0 },
  }, Summary)
  local by_module, seen = {}, {}
  for name, m in net:named_modules() do
    local row = { name = name, kind = m.class_name, parameters = 0, trainable = 0, calls = 0 }
    local books = module.books_of(m)
    for _, field in ipairs(books.order) do
      local t, kind = books.values[field], books.kinds[field]
      if is_tensor(t) and not seen[t] then -- a tied one belongs to the first that has it
        seen[t] = true
        if kind == "parameter" then
          row.parameters = row.parameters + t:numel()
          row.trainable = row.trainable + (t.requires_grad and t:numel() or 0)
          self.memory.parameters = self.memory.parameters + bytes_of(t)
        elseif kind == "buffer" then
          self.memory.buffers = self.memory.buffers + bytes_of(t)
        end
      end
    end
    self.parameters, self.trainable = self.parameters + row.parameters, self.trainable + row.trainable
    by_module[m] = row
    if name ~= "" then
      self.rows[#self.rows + 1] = row
    end
  end
  local whole = by_module[net]
  if whole.parameters > 0 or #self.rows == 0 then
    table.insert(self.rows, 1, whole) -- a module with parameters of its own has a row
    whole.name = "(itself)"
  end
  run(net, inputs, by_module, self.memory)
  self.output_shape = whole.output_shape
  return self
end

-- Text ----------------------------------------------------------------------------------------------------

--- 1234567 as "1,234,567".
local function grouped(n)
  local s = ("%.0f"):format(n)
  local changed
  repeat
    s, changed = s:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until changed == 0
  return s
end

local function size_text(bytes)
  if bytes < 1e3 then
    return ("%d B"):format(bytes)
  elseif bytes < 1e6 then
    return ("%.1f kB"):format(bytes / 1e3)
  end
  return ("%.1f MB"):format(bytes / 1e6)
end

local function trainable_text(row)
  if row.parameters == 0 then
    return ""
  elseif row.trainable == row.parameters then
    return "yes"
  end
  return row.trainable == 0 and "no" or "part"
end

function Summary:__tostring()
  local lines = { { "name", "kind", "output shape", "parameters", "trainable" } }
  for _, row in ipairs(self.rows) do
    local shape = row.output_shape or "not used"
    lines[#lines + 1] = { row.name, row.kind, row.calls > 1 and ("%s x%d"):format(shape, row.calls) or shape,
      row.parameters > 0 and grouped(row.parameters) or "", trainable_text(row) }
  end
  local widths = { 0, 0, 0, 0, 0 }
  for _, cells in ipairs(lines) do
    for i, cell in ipairs(cells) do
      widths[i] = math.max(widths[i], text.width(cell))
    end
  end
  local out, total = {}, 8
  for _, width in ipairs(widths) do
    total = total + width
  end
  for i, cells in ipairs(lines) do
    local parts = {}
    for k, cell in ipairs(cells) do
      parts[k] = text.pad(cell, k == 4 and -widths[k] or widths[k])
    end
    out[#out + 1] = (table.concat(parts, "  "):gsub("%s+$", ""))
    if i == 1 then
      out[2] = ("-"):rep(total)
    end
  end
  out[#out + 1] = ("-"):rep(total)
  out[#out + 1] = ("%s: input %s, output %s"):format(self.kind, self.input, self.output_shape or "none")
  out[#out + 1] = ("parameters: %s (%s trainable, %s frozen)"):format(grouped(self.parameters),
    grouped(self.trainable), grouped(self.parameters - self.trainable))
  local memory = self.memory
  out[#out + 1] = ("memory: parameters %s%s, activations %s"):format(size_text(memory.parameters),
    memory.buffers > 0 and ", buffers " .. size_text(memory.buffers) or "", size_text(memory.activations))
  return table.concat(out, "\n")
end

return M
