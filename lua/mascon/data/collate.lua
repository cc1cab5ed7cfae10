--- Collation: the values that samples gave at one place become one value of the batch.
-- Tensors stack, numbers become a tensor, strings a list, tables are collated key by key.

local layer = require "mascon.ffi"
local options = require "mascon.options"

local M = {}

local function shape_text(t)
  return "{" .. table.concat(t.shape, ", ") .. "}"
end

local function kind_of(v)
  if layer.is_tensor(v) then
    return "tensor"
  end
  return v == nil and "nil" or type(v)
end

--- Stacks tensors of one shape and dtype. indices: their numbers in the data set, for messages.
local function stack(values, indices)
  local first = values[1]
  local shape, dtype = shape_text(first), first.dtype
  for k = 2, #indices do
    local text = shape_text(values[k])
    if text ~= shape then
      options.fail("DataLoader", ("sample %d is %s, sample %d was %s; cannot stack")
        :format(indices[k], text, indices[1], shape), "resize in the transform")
    end
    if values[k].dtype ~= dtype then
      options.fail("DataLoader", ("sample %d is %s, sample %d was %s; cannot stack")
        :format(indices[k], values[k].dtype, indices[1], dtype))
    end
  end
  return require("mascon").stack(values)
end

--- Collates one value of each sample.
---@param values table one per sample
---@param indices integer[] their numbers in the data set
---@param place string names the value in messages ("value 2")
---@param dtype? string of numbers; tensors are converted to it where it was asked for
---@param asked? boolean
function M.values(values, indices, place, dtype, asked)
  local kind = kind_of(values[1])
  for k = 1, #indices do
    if kind_of(values[k]) ~= kind then
      options.fail("DataLoader", ("%s of sample %d is a %s, that of sample %d a %s"):format(place,
        indices[k], kind_of(values[k]), indices[1], kind))
    end
  end
  if kind == "tensor" then
    local batch = stack(values, indices)
    return asked and batch:to(dtype) or batch
  elseif kind == "number" then
    return require("mascon").tensor(values, { dtype = dtype })
  elseif kind == "boolean" then
    local numbers = {}
    for k, v in ipairs(values) do
      numbers[k] = v and 1 or 0
    end
    return require("mascon").tensor(numbers, { dtype = asked and dtype or "bool" })
  elseif kind == "string" then
    return values
  elseif kind == "table" then
    local batch = {}
    for key in pairs(values[1]) do
      local column = {}
      for k = 1, #indices do
        column[k] = values[k][key]
      end
      batch[key] = M.values(column, indices, place .. "." .. tostring(key), "float32")
    end
    return batch
  end
  options.fail("DataLoader", ("%s of sample %d is a %s; cannot make a batch of it")
    :format(place, indices[1], kind), "collate_fn = decides yourself")
end

--- Collates whole samples {n =, value 1, value 2, ...}.
---@param samples table[]
---@param indices integer[]
---@param labelled boolean numbers at the second place are class labels
---@param dtypes table by place
---@return table values, integer number
function M.samples(samples, indices, labelled, dtypes)
  local n = samples[1].n
  local batch = {}
  for place = 1, n do
    local column = {}
    for k, sample in ipairs(samples) do
      column[k] = sample[place]
    end
    local standard = labelled and place == 2 and "int64" or "float32"
    batch[place] = M.values(column, indices, "value " .. place, dtypes[place] or standard,
      dtypes[place] ~= nil)
  end
  return batch, n
end

return M
