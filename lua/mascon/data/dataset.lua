--- Data sets: len(), get(i) -> picture, label; made of others by Subset, ConcatDataset, random_split.
-- A data set of mascon's own also has a view, through which a DataLoader hands it to the C library:
--   raw(i)            the values of sample i before the transforms
--   transform, target_transform
--   source()          its rows as a C source, or nil
-- A table that a script wrote has none and is asked sample by sample.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local output = require "mascon.output"
local random = require "mascon.random"

local C = layer.C
local M = {}

-- Class tables of this file: an object whose get or len was replaced is no longer one of ours.
local views = {}

local function new_class(name)
  local class = { class_name = name }
  class.__index = class
  class.__tostring = function(self)
    return ("%s(%d samples)"):format(self.class_name, self:len())
  end
  return class
end

--- The view of a data set, or nil where only its get can tell.
---@param ds table
---@return table?
function M.view(ds)
  local class = getmetatable(ds)
  local view = views[class]
  if view and ds.get == class.get and ds.len == class.len then
    return view(ds)
  end
end

--- Raises unless ds has len and get; returns its number of samples.
---@param prefix string
---@param ds any
---@return integer
function M.check(prefix, ds)
  if type(ds) ~= "table" or type(ds.len) ~= "function" or type(ds.get) ~= "function" then
    options.fail(prefix, ("data set is %s without the methods len and get")
      :format(type(ds) == "table" and "a table" or options.show(ds)),
      "any table with len(self) and get(self, i) is a data set")
  end
  local n = ds:len()
  if type(n) ~= "number" or n < 0 or n ~= math.floor(n) then
    options.fail(prefix, ("len of the data set is %s; expected a whole number")
      :format(options.show(n)))
  end
  return n
end

local function check_index(self, i)
  if type(i) ~= "number" or i ~= math.floor(i) then
    options.fail(self.class_name, ("sample %s; expected a whole number"):format(options.show(i)))
  end
  local n = self:len()
  if i < 1 or i > n then
    options.fail(self.class_name, ("sample %d is out of range (1..%d)"):format(i, n))
  end
end

local function own(box)
  return layer.gc(box[0], C.mascon_source_release)
end

local function field(source, i, f, name)
  local box = layer.tensor_box
  layer.check(C.mascon_source_get(source, i - 1, f, box), name)
  return layer.wrap(box[0])
end

-- Labelled pictures in memory ---------------------------------------------------------------------------

local Pictures = new_class "Pictures"
local label_box = layer.new "int64_t[1]"

local function raw_picture(self, i)
  layer.check(C.mascon_source_label(self.source, i - 1, label_box), self.class_name)
  return field(self.source, i, 0, self.class_name), tonumber(label_box[0])
end

function Pictures:len()
  return tonumber(C.mascon_source_len(self.source))
end

--- Sample i: the picture, uint8 {C, H, W} before its transform, and the label from 1.
function Pictures:get(i)
  check_index(self, i)
  local picture, label = raw_picture(self, i)
  if self.transform then
    picture = self.transform(picture)
  end
  if self.target_transform then
    label = self.target_transform(label)
  end
  return picture, label
end

views[Pictures] = function(self)
  return {
    raw = function(i) return raw_picture(self, i) end,
    transform = self.transform,
    target_transform = self.target_transform,
    source = function() return self.source end,
  }
end

--- The name of the file that sample i is read from, relative to the root; nil where it is in memory.
---@param i integer
---@return string?
function Pictures:file(i)
  check_index(self, i)
  return layer.string(C.mascon_source_file(self.source, i - 1))
end

--- A data set over a C source of labelled pictures.
---@param class_name string
---@param box any mascon_source *[1], owned
---@param o table transform, target_transform
function M.pictures(class_name, box, o)
  local source = own(box)
  C.mascon_source_set_label_base(source, 1) -- the one place where classes 0..9 become 1..10
  local warning = layer.string(C.mascon_source_warning(source))
  if warning then
    output.warn(class_name .. ": " .. warning)
  end
  local self = { class_name = class_name, source = source, root = o.root, transform = o.transform,
    target_transform = o.target_transform, classes = {}, class_to_idx = {} }
  local name = C.mascon_source_class(source, 0)
  while name ~= nil do
    local i = #self.classes + 1
    self.classes[i] = layer.string(name)
    self.class_to_idx[self.classes[i]] = i
    name = C.mascon_source_class(source, i)
  end
  return setmetatable(self, Pictures)
end

-- TensorDataset --------------------------------------------------------------------------------------------

local TensorDataset = new_class "TensorDataset"

--- Rows of tensors: get(i) gives row i of each.
---@param ... mascon.Tensor
function M.TensorDataset(...)
  local n = select("#", ...)
  local tensors = { ... }
  if n == 1 and type(tensors[1]) == "table" then
    tensors = tensors[1]
    n = #tensors
  end
  if n == 0 then
    options.fail("TensorDataset", "no tensors given")
  end
  for i = 1, n do
    if not layer.is_tensor(tensors[i]) then
      options.fail("TensorDataset", ("argument %d is %s; expected a tensor")
        :format(i, options.show(tensors[i])))
    end
  end
  local box = layer.new "mascon_source *[1]"
  layer.check(C.mascon_source_tensors(box, layer.handles(tensors), n), "TensorDataset")
  return setmetatable({ tensors = tensors, source = own(box) }, TensorDataset)
end

local function raw_rows(self, i)
  local rows = {}
  local n = C.mascon_source_fields(self.source)
  for f = 1, n do
    rows[f] = field(self.source, i, f - 1, self.class_name)
  end
  return unpack(rows, 1, n)
end

TensorDataset.len = Pictures.len

function TensorDataset:get(i)
  check_index(self, i)
  return raw_rows(self, i)
end

views[TensorDataset] = function(self)
  return {
    raw = function(i) return raw_rows(self, i) end,
    source = function() return self.source end,
  }
end

-- Subset -----------------------------------------------------------------------------------------------------

local Subset = new_class "Subset"

--- The samples of ds with the given indices, in their order.
---@param ds table
---@param indices integer[]
function M.Subset(ds, indices)
  local n = M.check("Subset", ds)
  if type(indices) ~= "table" then
    options.fail("Subset", ("indices are a %s; expected a list of whole numbers")
      :format(type(indices)))
  end
  for k, i in ipairs(indices) do
    if type(i) ~= "number" or i ~= math.floor(i) or i < 1 or i > n then
      options.fail("Subset", ("index %d is %s; expected a whole number in 1..%d")
        :format(k, options.show(i), n))
    end
  end
  return setmetatable({ dataset = ds, indices = indices, classes = ds.classes,
    class_to_idx = ds.class_to_idx }, Subset)
end

function Subset:len()
  return #self.indices
end

function Subset:get(i)
  check_index(self, i)
  return self.dataset:get(self.indices[i])
end

--- The rows of a subset as a C source; made anew each time, since a script may change the indices.
local function selected(self, parent)
  if parent == nil then
    return nil
  end
  local n = #self.indices
  local rows = layer.new("int64_t[?]", math.max(n, 1))
  for k = 1, n do
    rows[k - 1] = self.indices[k] - 1
  end
  local box = layer.new "mascon_source *[1]"
  layer.check(C.mascon_source_select(box, parent, rows, n), "Subset")
  return own(box)
end

views[Subset] = function(self)
  local parent = M.view(self.dataset)
  return parent and {
    raw = function(i) return parent.raw(self.indices[i]) end,
    transform = parent.transform,
    target_transform = parent.target_transform,
    source = function() return selected(self, parent.source()) end,
  }
end

-- ConcatDataset ---------------------------------------------------------------------------------------------

local ConcatDataset = new_class "ConcatDataset"

--- One data set after the other.
---@param list table[]
function M.ConcatDataset(list)
  if type(list) ~= "table" or #list == 0 then
    options.fail("ConcatDataset", "argument 1 is not a list of data sets", "ConcatDataset{a, b}")
  end
  local ends, total = {}, 0
  for k, ds in ipairs(list) do
    total = total + M.check("ConcatDataset", ds)
    ends[k] = total
  end
  return setmetatable({ datasets = list, ends = ends, classes = list[1].classes,
    class_to_idx = list[1].class_to_idx }, ConcatDataset)
end

function ConcatDataset:len()
  return self.ends[#self.ends]
end

--- Number of the data set that holds sample i, and the sample's number there.
local function part(self, i)
  for k, last in ipairs(self.ends) do
    if i <= last then
      return k, i - (self.ends[k - 1] or 0)
    end
  end
end

function ConcatDataset:get(i)
  check_index(self, i)
  local k, j = part(self, i)
  return self.datasets[k]:get(j)
end

local function joined(parts)
  local sources = layer.new("mascon_source *[?]", #parts)
  local keep = {}
  for k, view in ipairs(parts) do
    local source = view.source()
    if source == nil then
      return nil
    end
    keep[k], sources[k - 1] = source, source
  end
  local box = layer.new "mascon_source *[1]"
  local status = C.mascon_source_concat(box, sources, #keep)
  if status == C.MASCON_E_SHAPE then
    return nil -- rows of several shapes: the samples decide, one by one
  end
  layer.check(status, "ConcatDataset")
  return own(box)
end

views[ConcatDataset] = function(self)
  local parts = {}
  for k, ds in ipairs(self.datasets) do
    local view = M.view(ds)
    local first = parts[1] or view
    if not view or view.transform ~= first.transform
      or view.target_transform ~= first.target_transform then
      return nil
    end
    parts[k] = view
  end
  return {
    raw = function(i)
      local k, j = part(self, i)
      return parts[k].raw(j)
    end,
    transform = parts[1].transform,
    target_transform = parts[1].target_transform,
    source = function() return joined(parts) end,
  }
end

-- random_split ----------------------------------------------------------------------------------------------

--- Whole lengths: as given, or fractions of n, whose remainder goes to the first ones in turn.
local function split_lengths(lengths, n)
  local sum, whole = 0, {}
  for k, v in ipairs(lengths) do
    if type(v) ~= "number" or v < 0 or v ~= v then
      options.fail("random_split", ("length %d is %s; must be 0 or more")
        :format(k, options.show(v)))
    end
    sum = sum + v
    whole[k] = v
  end
  if math.abs(sum - 1) < 1e-6 and n ~= 1 then
    sum = 0
    for k, v in ipairs(lengths) do
      whole[k] = math.floor(v * n)
      sum = sum + whole[k]
    end
    for k = 0, n - sum - 1 do
      local at = k % #whole + 1
      whole[at] = whole[at] + 1
    end
    return whole
  end
  for k, v in ipairs(whole) do
    if v ~= math.floor(v) then
      options.fail("random_split", ("length %d is %s; expected a whole number")
        :format(k, options.show(v)), "fractions add up to 1")
    end
  end
  if sum ~= n then
    options.fail("random_split", ("the lengths add up to %d, the data set has %d samples")
      :format(sum, n))
  end
  return whole
end

--- Splits a data set at random into as many subsets as lengths are given (numbers of samples, or
--- fractions that add up to 1). Returns the subsets, one after the other.
---@param ds table
---@param lengths number[]
---@param given? table seed: a split that depends on this number alone
---@return table ...
function M.random_split(ds, lengths, given)
  local n = M.check("random_split", ds)
  if type(lengths) ~= "table" then
    options.fail("random_split", ("lengths are a %s; expected a list such as {40000, 10000}")
      :format(type(lengths)))
  end
  local o = options.read("random_split", given, { { "seed", nil, "integer", min = 0 } })
  local whole = split_lengths(lengths, n)
  local stream = layer.new "uint64_t[2]"
  if o.seed then
    stream[0] = o.seed
  else
    C.mascon_generator_next(random.generator().h, stream)
  end
  local order = layer.new("int64_t[?]", math.max(n, 1))
  C.mascon_shuffle(stream[0], stream[1], n, order)
  local parts, at = {}, 0
  for k, length in ipairs(whole) do
    local indices = {}
    for i = 1, length do
      indices[i] = tonumber(order[at + i - 1]) + 1
    end
    at = at + length
    parts[k] = M.Subset(ds, indices)
  end
  return unpack(parts)
end

return M
