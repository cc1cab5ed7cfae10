--- Fingerprints: SHA-256 of what a result depends on, to tell whether a stored result still holds.
-- Contents count, never names of variables, dates or addresses: a network by its structure, options,
-- parameters and buffers (and the code of classes that a script wrote), a data set by its samples before
-- the transform, a transform by its stages.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local transforms = require "mascon.transforms"
local dataset = require "mascon.data.dataset"
local module = require "mascon.nn.module"

local C = layer.C
local M = {}

local own = debug.getinfo(1, "S").source:match "^(@.*)fingerprint%.lua$" or "@?"

-- Digests -----------------------------------------------------------------------------------------------

local Digest = {}
Digest.__index = Digest

--- An empty digest.
function M.new()
  local box = layer.new "mascon_digest *[1]"
  layer.check(C.mascon_digest_new(box), "fingerprint")
  return setmetatable({ d = layer.gc(box[0], C.mascon_digest_release) }, Digest)
end

--- Adds a text, with its length, so that no two lists of texts are alike.
function Digest:text(s)
  s = ("%d:%s"):format(#s, s)
  C.mascon_digest_add(self.d, s, #s)
end

function Digest:tensor(t)
  layer.check(C.mascon_digest_tensor(self.d, t:detach():to("cpu"):contiguous().h), "fingerprint")
end

--- Adds a number, string, boolean, tensor or table of these; returns false for anything else.
function Digest:value(v, depth)
  local kind = type(v)
  if layer.is_tensor(v) then
    self:tensor(v)
  elseif kind == "number" then
    self:text(("%.17g"):format(v))
  elseif kind == "string" or kind == "boolean" or v == nil then
    self:text(kind .. " " .. tostring(v))
  elseif kind == "table" and getmetatable(v) == nil and (depth or 0) < 8 then
    local keys = {}
    for key in pairs(v) do
      keys[#keys + 1] = key
    end
    table.sort(keys, function(a, b)
      if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
        return a < b
      end
      return tostring(type(a)) < tostring(type(b))
    end)
    local complete = true
    self:text("table " .. #keys)
    for _, key in ipairs(keys) do
      local good = self:value(key, (depth or 0) + 1)
      complete = self:value(v[key], (depth or 0) + 1) and good and complete
    end
    return complete
  else
    return false
  end
  return true
end

local text_box = layer.new "char[65]"

--- 64 hexadecimal digits.
function Digest:hex()
  C.mascon_digest_text(self.d, text_box)
  return layer.string(text_box)
end

-- Networks ----------------------------------------------------------------------------------------------

--- Where a function of mascon's own stands, for files of this folder and generated code; else nil.
local function own_place(fn)
  local info = debug.getinfo(fn, "S")
  if info.source:sub(1, #own) == own then
    return ("%s:%d"):format(info.source:sub(#own + 1), info.linedefined)
  elseif info.source:sub(1, 7) == "=mascon" then
    return info.source
  end
end

local scalar = { number = true, string = true, boolean = true }

--- Adds a function: its code, and what it finds outside of itself (constants, tables, functions). Of
--- mascon's own functions it is the place and the constants, which tell the operations apart.
local function add_function(digest, fn, seen)
  if seen[fn] then
    return
  end
  seen[fn] = true
  local place = own_place(fn)
  local good, code = pcall(string.dump, fn, true)
  digest:text(place or good and code or "C")
  local i, name, v = 1, debug.getupvalue(fn, 1)
  while name do
    if type(v) == "function" and not place then
      add_function(digest, v, seen)
    elseif scalar[type(v)] or not place and v ~= nil and not seen[v] then
      if type(v) == "table" then
        seen[v] = true
      end
      digest:value(v)
    end
    i = i + 1
    name, v = debug.getupvalue(fn, i)
  end
end

--- The methods that a script gave a class and its parents.
local function add_code(digest, class, seen)
  while class do
    local names = {}
    for name, v in pairs(class) do
      if type(name) == "string" and type(v) == "function" and not own_place(v) then
        names[#names + 1] = name
      end
    end
    table.sort(names)
    for _, name in ipairs(names) do
      digest:text(name)
      add_function(digest, class[name], seen)
    end
    class = rawget(class, "super")
  end
end

--- Fields that say nothing about what the module computes in evaluation.
local passing = { training = true, frozen = true, run = true, preprocess = true }

--- The fingerprint of a network that is evaluated.
---@param net mascon.nn.Module
---@return string
---@return string? why it says too little: something in the network has no contents to compare
function M.of_module(net)
  local digest, seen, why = M.new(), {}, nil
  for name, m in net:named_modules() do
    local books = module.books_of(m)
    digest:text(name)
    digest:text(m.class_name)
    add_code(digest, books.class, seen)
    local fields = {}
    for key, v in pairs(books.values) do
      if not passing[key] and not books.kinds[key] then
        fields[key] = v
      end
    end
    local at = name == "" and "the backbone" or name
    if not digest:value(fields) then
      why = why or ("a field of %s holds something with no contents to compare"):format(at)
    elseif books.hooks then
      why = why or ("%s has forward hooks"):format(at)
    end
  end
  for name, p in net:named_parameters() do
    digest:text(name)
    digest:tensor(p)
  end
  for name, t in net:named_buffers() do
    digest:text(name)
    digest:tensor(t)
  end
  return digest:hex(), why
end

-- Data --------------------------------------------------------------------------------------------------

local function is_kind(ds, class_name)
  local class = getmetatable(ds)
  return type(class) == "table" and class.class_name == class_name and ds.get == class.get
end

--- The data set that holds sample i in the end, and the sample's number there.
local function locate(ds, i)
  while true do
    if is_kind(ds, "Subset") then
      ds, i = ds.dataset, ds.indices[i]
    elseif is_kind(ds, "ConcatDataset") then
      local k = 1
      while i > ds.ends[k] do
        k = k + 1
      end
      ds, i = ds.datasets[k], i - (ds.ends[k - 1] or 0)
    else
      return ds, i
    end
  end
end

--- Calls fn for every data set that holds samples of its own.
---@param ds table
---@param fn fun(ds: table)
function M.each_leaf(ds, fn)
  if is_kind(ds, "Subset") then
    M.each_leaf(ds.dataset, fn)
  elseif is_kind(ds, "ConcatDataset") then
    for _, part in ipairs(ds.datasets) do
      M.each_leaf(part, fn)
    end
  else
    fn(ds)
  end
end

--- Why a data set cannot be told by its contents, or nil.
---@param ds table
---@return string?
function M.opaque(ds)
  local why
  M.each_leaf(ds, function(leaf)
    local view = dataset.view(leaf)
    if not view then
      why = why or "the data set is a script's own"
    elseif view.target_transform then
      why = why or "target_transform is a function"
    elseif #(transforms.split(view.transform)) > 0 then
      why = why or "the transform has a stage in Lua"
    end
  end)
  return why
end

local function add_transform(digest, transform)
  local _, stages = transforms.split(transform)
  for _, stage in ipairs(stages) do
    digest:text(stage.stage)
    digest:value(stage.values)
  end
end

--- The SHA-256 of a file.
---@param path string
---@return string
function M.of_file(path)
  layer.check(C.mascon_file_sha256(path, text_box), "fingerprint")
  return layer.string(text_box)
end

--- The fingerprint of the samples of a data set, in its order, and of its transforms.
---@param ds table a data set for which opaque gives nil
---@param order? integer[] these samples instead of all
---@return string
function M.of_data(ds, order)
  local digest, seen = M.new(), {}
  for k = 1, order and #order or ds:len() do
    local leaf, i = locate(ds, order and order[k] or k)
    local known = seen[leaf]
    if not known then
      known = dataset.view(leaf)
      seen[leaf] = known
      digest:text "transform"
      add_transform(digest, known.transform)
    end
    local file = leaf.file and leaf:file(i)
    if file then -- as it lies there; its folder names the class
      digest:text(file)
      digest:text(M.of_file(leaf.root .. "/" .. file))
    else
      local values = { known.raw(i) }
      for v = 1, #values do
        digest:value(values[v])
      end
    end
  end
  return digest:hex()
end

--- Whether two calls of get give the same sample; the random generator is left as it was.
---@param ds table
---@param i integer
---@return boolean
function M.is_repeatable(ds, i)
  local random = require "mascon.random"
  local before = random.get_state()
  local sums = {}
  for k = 1, 2 do
    local digest, values = M.new(), { ds:get(i) }
    for v = 1, #values do
      digest:value(values[v])
    end
    sums[k] = digest:hex()
  end
  random.set_state(before)
  return sums[1] == sums[2]
end

--- Raises unless v is a module.
function M.check_module(prefix, v)
  if not module.is_module(v) then
    options.fail(prefix, ("argument 1 is %s; expected a module"):format(options.show(v)))
  end
end

return M
