--- State dicts of modules: making them, and copying one into a module's tensors.

local autograd = require "mascon.autograd"
local layer = require "mascon.ffi"
local options = require "mascon.options"

local is_tensor = layer.is_tensor
local M = {}

--- A state dict of entries {name, tensor}: detached tensors over the same memory, with an order for
--- mascon.save.
---@param entries table[]
---@return table<string, mascon.Tensor>
function M.make(entries)
  local sd, own = {}, {}
  for _, entry in ipairs(entries) do
    sd[entry[1]] = entry[2]:detach()
    own[entry[1]] = true
  end
  return setmetatable(sd, {
    __pairs = function(t) -- the module's names in its order, then what a script added, sorted
      local names, added = {}, {}
      for _, entry in ipairs(entries) do
        if t[entry[1]] ~= nil then
          names[#names + 1] = entry[1]
        end
      end
      for name in pairs(t) do
        if not own[name] then
          added[#added + 1] = name
        end
      end
      table.sort(added, function(a, b) return tostring(a) < tostring(b) end)
      for _, name in ipairs(added) do
        names[#names + 1] = name
      end
      local i = 0
      return function()
        i = i + 1
        return names[i], names[i] ~= nil and t[names[i]] or nil
      end
    end,
  })
end

local function shape_text(t)
  return "{" .. table.concat(t.shape, ", ") .. "}"
end

local function same_shape(a, b)
  return shape_text(a) == shape_text(b)
end

--- At most eight names, so that a message stays short.
local function name_list(names)
  local shown = {}
  for i = 1, math.min(#names, 8) do
    shown[i] = names[i]
  end
  return table.concat(shown, ", ") .. (#names > 8 and (" and %d more"):format(#names - 8) or "")
end

--- Whether a name is one of, or lies below one of, the given ones ("fc" covers "fc.weight", not "fc2").
local function begins_with_any(name, prefixes)
  for _, prefix in ipairs(prefixes) do
    local after = name:sub(#prefix + 1, #prefix + 1)
    if name:sub(1, #prefix) == prefix and (after == "" or after == "." or prefix:sub(-1) == ".") then
      return true
    end
  end
  return false
end

--- The prefix by which all names of the file differ from the model's, if there is one.
local function common_prefix(given, wanted)
  local prefix
  for name in pairs(given) do
    local found
    for at in name:gmatch "()%." do
      if wanted[name:sub(at + 1)] then
        found = name:sub(1, at)
        break
      end
    end
    if not found or prefix and prefix ~= found then
      return
    end
    prefix = found
  end
  return prefix
end

--- The one entry of sd that is a table of tensors, as checkpoints have it under "state_dict"; nil where
--- there is none or more than one.
local function nested(sd)
  local found, count
  for name, inner in pairs(sd) do
    if type(inner) == "table" and next(inner) ~= nil then
      local tensors, all = 0, true
      for key, t in pairs(inner) do
        all = all and type(key) == "string" and is_tensor(t)
        tensors = tensors + 1
      end
      if all and found then
        return nil
      elseif all then
        found, count = name, tensors
      end
    end
  end
  return found, count
end

local function stripped(sd, strip)
  local given = {}
  local inside, count = nested(sd)
  if inside ~= nil then
    options.fail("load_state_dict", ("the tensors lie one level deeper: entry %s is a table of %d tensors")
      :format(options.show(inside), count), ("load_state_dict(checkpoint[%s])"):format(options.show(inside)))
  end
  for name, t in pairs(sd) do
    if type(name) ~= "string" or not is_tensor(t) then
      options.fail("load_state_dict", ("entry %s is %s; expected tensors under names")
        :format(options.show(name), options.show(t)))
    end
    if strip ~= "" and name:sub(1, #strip) == strip then
      name = name:sub(#strip + 1)
    end
    if given[name] then
      options.fail("load_state_dict", ("%s is there with and without %s; strip makes them one name")
        :format(name, options.show(strip)))
    end
    given[name] = t
  end
  return given
end

--- Counters that PyTorch's files have had only since 0.4.1.
local function may_be_absent(name)
  return name == "num_batches_tracked" or name:match "%.num_batches_tracked$" ~= nil
end

--- The hint about a prefix that most missing names have in the file, beside others (an average's n_averaged,
--- a head); nil where there is none.
local function prefix_hint(missing_names, unexpected, given, wanted)
  local first = missing_names[1]
  if not first then
    return nil
  end
  for _, name in ipairs(unexpected) do
    local prefix = name:sub(-#first - 1) == "." .. first and name:sub(1, #name - #first)
    local found, left = 0, 0
    if prefix then
      for _, missing in ipairs(missing_names) do
        found = found + (given[prefix .. missing] and 1 or 0)
      end
      for _, other in ipairs(unexpected) do
        left = left + (other:sub(1, #prefix) == prefix and wanted[other:sub(#prefix + 1)] and 0 or 1)
      end
    end
    if found * 2 > #missing_names then
      local rest = left > 0 or found < #missing_names
      return ('strip = "%s"%s'):format(prefix, rest and " with strict = false" or "")
    end
  end
end

--- Raises where names are missing or unexpected; wrong: text about shapes that differ as well, or nil.
local function check_names(entries, given, excepted, n_given, wrong)
  local wanted, missing_names, unexpected = {}, {}, {}
  for _, entry in ipairs(entries) do
    wanted[entry[1]] = true
    if not given[entry[1]] and not excepted(entry[1]) and not may_be_absent(entry[1]) then
      missing_names[#missing_names + 1] = entry[1]
    end
  end
  for name in pairs(given) do
    if not wanted[name] and not excepted(name) then
      unexpected[#unexpected + 1] = name
    end
  end
  if #missing_names + #unexpected == 0 then
    return
  end
  local prefix = #unexpected == n_given and n_given > 0 and common_prefix(given, wanted)
  if prefix then
    options.fail("load_state_dict", ('%d of %d names differ only by the prefix "%s"'):format(n_given,
      n_given, prefix), ('strip = "%s"'):format(prefix))
  end
  table.sort(unexpected)
  local parts = {}
  if #missing_names > 0 then
    parts[1] = ("%d missing: %s"):format(#missing_names, name_list(missing_names))
  end
  if #unexpected > 0 then
    parts[#parts + 1] = ("%d unexpected: %s"):format(#unexpected, name_list(unexpected))
  end
  parts[#parts + 1] = wrong
  options.fail("load_state_dict", table.concat(parts, "; "),
    prefix_hint(missing_names, unexpected, given, wanted) or "strict = false loads what fits")
end

--- Text about the shapes that differ and the first module they belong to; nil where none does.
local function wrong_shapes(entries, given, excepted)
  local different, total, owner = {}, 0, nil
  for _, entry in ipairs(entries) do
    local t = given[entry[1]]
    if t and not excepted(entry[1]) then
      total = total + 1
      if not same_shape(t, entry[2]) then
        different[#different + 1] = ("%s file %s model %s"):format(entry[1], shape_text(t),
          shape_text(entry[2]))
        owner = owner or entry[1]:match "^(.*)%.[^.]*$" or entry[1]
      end
    end
  end
  if #different > 0 then
    local shown = {}
    for i = 1, math.min(#different, 8) do
      shown[i] = different[i]
    end
    local more = #different > 8 and ("; and %d more"):format(#different - 8) or ""
    return ("%d of %d differ: %s%s"):format(#different, total, table.concat(shown, "; "), more), owner
  end
end

--- Copies the tensors of sd into the entries' tensors; see Module.load_state_dict.
---@param entries table[] {name, tensor}
---@param sd table<string, mascon.Tensor>
---@param given? table
---@return table report
function M.load(entries, sd, given)
  if type(given) == "table" and given.format ~= nil and type(given.names) == "table" then
    given = nil -- net:load_state_dict(mascon.load(path)): the second value describes the file
  end
  local read = options.read("load_state_dict", given, {
    { "strict", true, "boolean" }, { "strip", "", "string" }, { "except", {}, "table" },
  })
  local tensors = stripped(sd, read.strip)
  local n_given = 0
  for _ in pairs(tensors) do
    n_given = n_given + 1
  end
  local function excepted(name)
    return begins_with_any(name, read.except)
  end
  if read.strict then
    local wrong, owner = wrong_shapes(entries, tensors, excepted)
    check_names(entries, tensors, excepted, n_given, wrong)
    if wrong then
      options.fail("load_state_dict", wrong, ('strict = false, or except = {"%s"}'):format(owner))
    end
  end
  local report, known = { missing = {}, unexpected = {}, different = {} }, {}
  autograd.no_grad(function()
    for _, entry in ipairs(entries) do
      local name, t = entry[1], entry[2]
      local source = tensors[name]
      known[name] = true
      if not excepted(name) then
        if source and same_shape(source, t) then
          t:copy_(source:detach():to(t.device))
        elseif source then
          table.insert(report.different, name)
        elseif not may_be_absent(name) then
          table.insert(report.missing, name)
        end
      end
    end
  end)
  for name in pairs(tensors) do
    if not known[name] and not excepted(name) then
      table.insert(report.unexpected, name)
    end
  end
  table.sort(report.unexpected)
  return report
end

return M
