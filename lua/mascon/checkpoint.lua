--- mascon.save_checkpoint and mascon.load_checkpoint: a training run in one file.
-- The file is what mascon.save writes of the given table, with each object (whatever has state_dict and
-- load_state_dict: model, optimizer, schedule, loader, stopper) replaced by its state, and one entry more
-- that says which entries are objects, of which kind, and holds the random generator's state.

local autograd = require "mascon.autograd"
local io = require "mascon.io"
local layer = require "mascon.ffi"
local options = require "mascon.options"
local random = require "mascon.random"

local C = layer.C
local M = {}

local ENTRY = "__checkpoint__"
local VERSION = 1

local function is_object(v)
  return type(v) == "table" and type(v.state_dict) == "function" and type(v.load_state_dict) == "function"
end

local function is_module(v)
  return type(v.parameters) == "function"
end

local function is_loader(v)
  return v.dataset ~= nil and type(v.dataset) == "table" and v.batch_size ~= nil
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function check_names(name, given)
  if type(given) ~= "table" or getmetatable(given) ~= nil then
    options.fail(name, ("argument 2 is %s; expected a table such as {model =, optimizer =}"):format(
      is_object(given) and "an object" or options.show(given)))
  elseif given[ENTRY] ~= nil then
    options.fail(name, ENTRY .. " is reserved")
  end
end

-- Saving --------------------------------------------------------------------------------------------

--- What a resumed run must have in common with this one, besides what the states hold.
local function describe(v)
  if is_module(v) then
    return { kind = "module" }
  elseif is_loader(v) then
    return { kind = "DataLoader", batch_size = v.batch_size }
  end
  return { kind = type(v.class_name) == "string" and v.class_name or "object" }
end

--- Writes a checkpoint. The file appears whole or not at all: a run killed at any moment leaves the old
--- checkpoint or the new one.
---@param path string
---@param given table objects (model, optimizer, scheduler, loader, stopper, ...) and plain values by name
---@param opts? {keep: integer?} keep = n: n checkpoints stay: path is the newest, path.0001, path.0002 and
---  so on are those before it. Older ones are removed when the new one is safely on the disk.
function M.save(path, given, opts)
  local o = options.read("save_checkpoint", opts, { { "keep", nil, "integer", min = 1 } })
  if type(path) ~= "string" or path == "" or path:find "%z" then
    options.fail("save_checkpoint", ("path is %s; expected the name of a file"):format(options.show(path)))
  end
  check_names("save_checkpoint", given)
  local value, objects = {}, {}
  for key, v in pairs(given) do
    if is_object(v) then
      value[key], objects[key] = v:state_dict(), describe(v)
    else
      value[key] = v
    end
  end
  value[ENTRY] = { version = VERSION, objects = objects, generator = random.get_state() }
  if o.keep and o.keep > 1 then
    layer.check(C.mascon_checkpoint_number(path), "save_checkpoint")
  end
  io.save(path, value)
  if o.keep then
    layer.check(C.mascon_checkpoint_prune(path, o.keep - 1), "save_checkpoint")
  end
end

-- Loading -------------------------------------------------------------------------------------------

local function fail(message, hint)
  options.fail("load_checkpoint", message, hint)
end

--- 50000 as "50,000".
local function grouped(n)
  local text = ("%d"):format(n)
  local head, tail = text:match "^(%d-)(%d%d%d)$"
  if not head or head == "" then
    return text
  end
  return grouped(tonumber(head)) .. "," .. tail
end

--- The entry about the file itself, checked: it may come from anybody.
local function read_entry(path, value)
  local entry = type(value) == "table" and value[ENTRY]
  if type(entry) ~= "table" or type(entry.objects) ~= "table" or type(entry.generator) ~= "table" then
    fail(path .. " is not a checkpoint", "mascon.load reads other files")
  elseif entry.version ~= VERSION then
    fail(("%s has version %s, made by a later mascon; this one reads %d"):format(path,
      options.show(entry.version), VERSION))
  end
  for _, name in ipairs { "seed", "counter" } do
    options.check("load_checkpoint", { "generator." .. name, nil, "integer", min = 0 },
      entry.generator[name])
  end
  return entry
end

local function check_kind(path, key, v, entry, value)
  local saved = entry.objects[key]
  if type(saved) ~= "table" then
    local names = sorted_keys(entry.objects)
    fail(("%s holds no state of %s"):format(path, tostring(key)), #names > 0
      and "it holds states of " .. table.concat(names, ", ") or "it holds no states")
  end
  local kind = describe(v).kind
  if saved.kind ~= kind then
    fail(("checkpoint has %s state, this run uses %s"):format(tostring(saved.kind),
      kind == "module" and v.class_name or kind))
  elseif type(value[key]) ~= "table" then
    fail(("the state of %s is %s; the file is damaged"):format(tostring(key), options.show(value[key])))
  end
end

--- Whether the loader's position means the same samples here.
local function check_loader(v, saved, state)
  for _, name in ipairs { "epoch", "batch", "seed", "samples" } do
    options.check("load_checkpoint", { "loader " .. name, nil, "integer", min = 0 }, state[name])
  end
  local kept = ("position %d of epoch %d cannot be kept"):format(state.batch, state.epoch)
  local n = v.dataset:len()
  if state.samples ~= n then
    fail(("checkpoint was made with %s samples, this data set has %s; %s"):format(grouped(state.samples),
      grouped(n), kept))
  elseif saved.batch_size ~= v.batch_size and not state.finished then
    fail(("checkpoint was made with batch_size %s, this loader has %d; %s"):format(
      options.show(saved.batch_size), v.batch_size, kept))
  end
end

--- The objects in the order in which they are loaded: those that can be prepared and then cannot fail,
--- first.
local function plan(path, given, entry, value)
  local prepared, modules, others = {}, {}, {}
  for _, key in ipairs(sorted_keys(given)) do
    local v = given[key]
    if not is_object(v) then
      fail(("%s is %s; expected an object with state_dict and load_state_dict"):format(tostring(key),
        options.show(v)), "plain values are in what load_checkpoint gives back")
    end
    check_kind(path, key, v, entry, value)
    local state = value[key]
    if is_module(v) then
      modules[#modules + 1] = { v, state }
    elseif is_loader(v) then
      check_loader(v, entry.objects[key], state)
      others[#others + 1] = { v, state }
    elseif v.prepare_state_dict then
      prepared[#prepared + 1] = v:prepare_state_dict(state)
    else
      others[#others + 1] = { v, state }
    end
  end
  return prepared, modules, others
end

local function copies(sd)
  local list = {}
  autograd.no_grad(function()
    for name, t in pairs(sd) do
      list[name] = t:clone()
    end
  end)
  return list
end

--- Loads the modules; where one does not fit, those before it get their old values back.
local function load_modules(modules)
  local before = {}
  for i, pair in ipairs(modules) do
    before[i] = i < #modules and copies(pair[1]:state_dict()) or nil
    local good, err = pcall(pair[1].load_state_dict, pair[1], pair[2])
    if not good then
      for k = 1, i - 1 do
        modules[k][1]:load_state_dict(before[k])
      end
      error(err, 0)
    end
  end
end

--- Reads a checkpoint into the objects of a run and sets the random generator to where it was. Nothing is
--- changed when the file does not fit the objects.
---@param path string
---@param given? table the same objects by the same names as for save_checkpoint
---@param opts? {verify: boolean?} verify = false does not look at the check sums
---@return table rest all other entries: plain values, and states of objects that were not given
function M.load(path, given, opts)
  local o = options.read("load_checkpoint", opts, { { "verify", true, "boolean" } })
  given = given or {}
  check_names("load_checkpoint", given)
  local value = io.load(path, { verify = o.verify })
  local entry = read_entry(path, value)
  local prepared, modules, others = plan(path, given, entry, value)
  load_modules(modules)
  for _, pair in ipairs(others) do
    pair[1]:load_state_dict(pair[2])
  end
  for _, apply in ipairs(prepared) do
    apply()
  end
  random.set_state(entry.generator)
  local rest = {}
  for key, v in pairs(value) do
    if key ~= ENTRY and given[key] == nil then
      rest[key] = v
    end
  end
  return rest
end

--- Removes what killed saves left in a folder: temporary files older than an hour whose process is gone.
---@param folder string
---@return integer removed how many
function M.clean(folder)
  options.check("checkpoint.clean", { "folder", nil, "string" }, folder)
  local removed = layer.new "int64_t[1]"
  layer.check(C.mascon_checkpoint_clean(folder, removed), "checkpoint.clean")
  return tonumber(removed[0])
end

return M
