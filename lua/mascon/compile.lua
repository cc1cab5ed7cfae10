--- mascon.compile: records what a function runs at its first call, and replays it without Lua.
-- The work is done in C (lib/core/program.c, replay.c). Here is the choice between recordings: one for each
-- combination of shapes, values and modes, the last few of which are kept.

local guard = require "mascon.guard"
local layer = require "mascon.ffi"
local options = require "mascon.options"
local output = require "mascon.output"
local random = require "mascon.random"
local recording = require "mascon.recording"
local raise = require "mascon.raise"

local C, is_tensor, check, state = layer.C, layer.is_tensor, layer.check, layer.state
local M = {}

local KEPT = 8         -- recordings of one function
local CHECKED = 10     -- under MASCON_DEBUG=replay every so many calls are recorded again and compared
local GRAD, ANOMALY = 1, 4 -- ORDER: the flags of mascon_call

--- What is known of compiled functions, for tests and measurements.
M.books = setmetatable({}, { __mode = "k" })

local debugging = (os.getenv "MASCON_DEBUG" or ""):find("replay", 1, true) ~= nil

--- Switches the check of every tenth call on or off, for tests; returns what it was.
---@param on boolean
function M.debug(on)
  local before = debugging
  debugging = on
  return before
end

-- Arguments and results -------------------------------------------------------------------------------

local function is_constant(v)
  local kind = type(v)
  return v == nil or kind == "number" or kind == "string" or kind == "boolean"
end

--- Takes argument i of a call: a tensor into self.given (for C), anything else into self.constants, where
--- a tensor leaves the mark `is_tensor`.
local function take_argument(self, i, v)
  if is_tensor(v) then
    local count = self.count
    if count == self.room then
      self.room = self.room * 2
      local larger = layer.new("mascon_tensor *[?]", self.room)
      layer.copy(larger, self.given, count * layer.sizeof "void *")
      self.given = larger
    end
    self.given[count] = v.h
    self.count = count + 1
    self.constants[i] = is_tensor
  elseif is_constant(v) then
    self.constants[i] = v
  else
    options.fail("compile", ("argument %d of the compiled function is %s; expected a tensor, a number, a "
      .. "string, a boolean or nil"):format(i, options.show(v)), "let the function use it as a local from outside")
  end
end

--- Four arguments have names: what is called for each element of `...` is not compiled by LuaJIT.
local function sort_arguments(self, n, a, b, c, d, ...)
  self.count = 0
  if n >= 1 then take_argument(self, 1, a) end
  if n >= 2 then take_argument(self, 2, b) end
  if n >= 3 then take_argument(self, 3, c) end
  if n >= 4 then take_argument(self, 4, d) end
  for i = 5, n do
    take_argument(self, i, (select(i - 4, ...)))
  end
end

--- Replaces the tensors in what fn returned by copies that no replay changes; returns the new values and
--- {count =, bytes = of the copies, build = a function of the list of later copies that gives the same}.
local function read_results(handle, n, results)
  local count, bytes = 0, 0
  local function read(v, where)
    if is_tensor(v) then
      check(C.mascon_program_output(handle, v.h, layer.tensor_box), "compile")
      count = count + 1
      local at, made_now = count, layer.tensor_box[0]
      bytes = bytes + tonumber(C.mascon_tensor_numel(made_now)) * C.mascon_dtype_size(C.mascon_tensor_dtype(made_now))
      return layer.wrap(made_now), function(made) return made[at] end
    elseif is_constant(v) then
      return v, function() return v end
    elseif type(v) == "table" and getmetatable(v) == nil then
      local copy, parts = {}, {}
      for key, item in pairs(v) do
        copy[key], parts[key] = read(item, ("%s[%s]"):format(where, options.show(key)))
      end
      return copy, function(made)
        local t = {}
        for key, part in pairs(parts) do
          t[key] = part(made)
        end
        return t
      end
    end
    options.fail("compile", ("%s is %s; a compiled function returns tensors, numbers, strings, booleans and "
      .. "plain tables of them"):format(where, options.show(v)))
  end
  local values, parts, plain = {}, {}, true
  for i = 1, n do
    plain = plain and is_tensor(results[i])
    values[i], parts[i] = read(results[i], "result " .. i)
  end
  local function build(made)
    if plain and n == 1 then
      return made[1]
    elseif plain and n == 2 then
      return made[1], made[2]
    elseif plain then
      return unpack(made, 1, n)
    end
    local t = {}
    for i = 1, n do
      t[i] = parts[i](made)
    end
    return unpack(t, 1, n)
  end
  return values, { count = count, bytes = bytes, build = build }
end

-- Recording -------------------------------------------------------------------------------------------

local function refuse_gradients(n, ...)
  for i = 1, n do
    local v = (select(i, ...))
    if is_tensor(v) and v.requires_grad then
      options.fail("compile", ("argument %d of the compiled function requires a gradient, which would not "
        .. "reach it"):format(i), "x:detach(), or compile the whole step")
    end
  end
end

--- Whether an argument requires a gradient.
local function want_gradients(self)
  for i = 0, self.count - 1 do
    if C.mascon_tensor_requires_grad(self.given[i]) ~= 0 then
      return true
    end
  end
  return false
end

--- Calls fn while handle records; gives its results as copies, and how to build them again.
local function run_recorded(handle, fn, n, ...)
  local args = { ... }
  for i = 1, n do
    if is_tensor(args[i]) then
      check(C.mascon_program_input(handle, args[i].h, layer.tensor_box), "compile")
      args[i] = layer.own(layer.tensor_box[0])
    end
  end
  local function collect(...)
    return select("#", ...), { ... }
  end
  local before = recording.tensors_of(fn)
  local count, results = collect(fn(unpack(args, 1, n)))
  for at, v in pairs(before) do
    local name, now = debug.getupvalue(fn, at)
    recording.replaced("compile", name, v, now)
  end
  return count, read_results(handle, count, results)
end

--- Records a call of fn, which runs as always: returns the entry and the values of the call.
local function record(self, n, ...)
  local box = layer.new "mascon_program *[1]"
  check(C.mascon_program_begin(box), "compile")
  local handle = layer.gc(box[0], C.mascon_program_release)
  local notes = { handle = handle, modules = {}, seen = {}, steps = {} }
  local scope = state.scope
  state.recording, state.scope = notes, nil
  local good, n_values, values, outputs = guard.call("compile", run_recorded, handle, self.fn, n, ...)
  state.recording, state.scope = nil, scope
  if not good then
    C.mascon_program_release(layer.gc(handle, nil))
    return guard.finish(function() end, false, n_values)
  end
  collectgarbage() -- handles that nobody needs count as holders of their memory until then
  collectgarbage()
  check(C.mascon_program_end(handle), "compile")
  local entry = {
    handle = handle, n = n, constants = { unpack(self.constants, 1, n) }, flags = state.flags,
    structure = state.structure, modes = state.modes, modules = notes.modules, steps = notes.steps,
    n_outputs = outputs.count, build = outputs.build, bytes = outputs.bytes, made = {}, calls = 0,
    box = layer.new("mascon_tensor *[?]", math.max(1, outputs.count)),
    generator = random.generator(),
  }
  return entry, n_values, values
end

-- Choosing --------------------------------------------------------------------------------------------

local reasons = {
  [0] = "",
  "shape, type or memory layout of a tensor argument",
  "the gradients that it finds",
  "which tensors require a gradient",
  "threads, precision or deterministic()",
  "a recording that runs",
}

--- Whether the modules that ran have the modes that they had.
local function same_modes(entry)
  for _, m in ipairs(entry.modules) do
    if rawget(m.values, "training") ~= m.training or rawget(m.values, "frozen") ~= m.frozen then
      return false
    end
  end
  return true
end

--- Why an entry does not stand for this call; nil where it does. A second result: it never will again.
local function mismatch(self, entry, n)
  if entry.n ~= n then
    return "the number of arguments"
  elseif entry.flags ~= state.flags then
    return "modes (no_grad, autocast and their like)"
  elseif entry.structure ~= state.structure then
    return "modules that were changed", true
  end
  for i = 1, n do
    local before, now = entry.constants[i], self.constants[i]
    if before ~= now and (before == before or now == now) then -- luacheck: ignore 581 (NaN)
      return ("argument %d, which is no tensor: its value is a part of the recording"):format(i)
    end
  end
  local why = C.mascon_program_fits(entry.handle, self.given, self.count)
  if why ~= 0 then
    return reasons[why]
  end
  if entry.modes ~= state.modes then
    if not same_modes(entry) then
      return "train() and eval()"
    end
    entry.modes = state.modes
  end
  local steps = entry.steps
  for i = 1, #steps do
    if not steps[i].valid() then
      return "an optimizer's parameter groups, or its state, which was loaded anew", true
    end
  end
end

--- The entry for this call, moved to the front of the list; nil and a reason where there is none.
local function choose(self, n)
  local entries, first, i = self.entries, nil, 1
  while entries[i] do
    local why, stale = mismatch(self, entries[i], n)
    if not why then
      local entry = entries[i]
      if i > 1 then
        table.remove(entries, i)
        table.insert(entries, 1, entry)
      end
      return entry
    end
    first = first or why
    if stale then
      table.remove(entries, i)
    else
      i = i + 1
    end
  end
  return nil, first
end

local function add(self, entry, why)
  table.insert(self.entries, 1, entry)
  if #self.entries > KEPT then
    self.entries[KEPT + 1] = nil
    if not self.warned then
      self.warned = true
      output.warn(("compile: the function was recorded %d times; what keeps changing: %s"):format(KEPT + 1,
        why or "?"))
    end
  end
end

-- Replaying -------------------------------------------------------------------------------------------

--- Gives the recorded steps of optimizers the options of this call; false where that is not possible.
local function advance(entry)
  for i = 1, #entry.steps do
    local step = entry.steps[i]
    local now, named = step.advance(), step.names
    for at = 1, #named do
      local name = named[at]
      local v = now[name]
      local number = v == true and 1 or v == false and 0 or v
      local old = step.given[name]
      if old ~= number then
        local switched = type(v) == "boolean" or (old == 0) ~= (number == 0) -- may want other state tensors
        if switched or C.mascon_program_set(entry.handle, step.first, step.last, step.op, name, number) ~= 0 then
          for k = i, 1, -1 do
            entry.steps[k].undo()
          end
          return false
        end
        step.given[name] = number
      end
    end
  end
  return true
end

--- Tries again with the memory that the collector gives back. Nobody may hold the arguments any more: the
--- calls that brought them here have ended.
local function run_again(entry, self)
  local given, count = self.given, self.count
  for i = 0, count - 1 do
    C.mascon_tensor_retain(given[i])
  end
  collectgarbage()
  collectgarbage()
  C.mascon_empty_cache(0)
  local status = C.mascon_program_run(entry.handle, given, count, entry.box, entry.n_outputs)
  for i = 0, count - 1 do
    C.mascon_tensor_release(given[i])
  end
  return status
end

local function failed(entry, self, status)
  if status == C.MASCON_E_OOM and C.mascon_last_error().op[0] == 0 then -- for the results; nothing has run yet
    status = run_again(entry, self)
    if status == 0 then
      return
    end
  end
  for k = #entry.steps, 1, -1 do
    entry.steps[k].undo()
  end
  local name = layer.string(C.mascon_last_error().op)
  check(status, name == "" and "compile" or nil)
end

local function give(made, n, ...)
  for i = 1, n do
    made[i] = nil
  end
  return ...
end

local function replay(self, entry)
  local box, n = entry.box, entry.n_outputs
  local status = C.mascon_program_run(entry.handle, self.given, self.count, box, n)
  if status ~= 0 then
    failed(entry, self, status)
  end
  local made = entry.made
  for i = 1, n do
    made[i] = layer.wrap(box[i - 1])
  end
  layer.note_debt(entry.bytes)
  return give(made, n, entry.build(made))
end

--- Records the call again and compares what it ran with the recording (MASCON_DEBUG=replay).
local function check_again(self, entry, n, ...)
  local again, n_values, values = record(self, n, ...)
  local status = C.mascon_program_compare(entry.handle, again.handle)
  if status ~= 0 then
    raise.raise("compile", layer.string(C.mascon_last_error().message), nil,
      "numbers that Lua reads or computes inside are constants of the recording")
  end
  self.entries[1] = again
  return unpack(values, 1, n_values)
end

local function call(self, ...)
  if state.recording or bit.band(state.flags, ANOMALY) ~= 0 then
    return self.fn(...)
  end
  local n = select("#", ...)
  sort_arguments(self, n, ...)
  if bit.band(state.flags, GRAD) ~= 0 and want_gradients(self) then
    refuse_gradients(n, ...)
  end
  local entry, why = choose(self, n)
  if entry and debugging then
    entry.calls = entry.calls + 1
    if entry.calls % CHECKED == 0 then
      return check_again(self, entry, n, ...)
    end
  end
  if entry and not advance(entry) then
    table.remove(self.entries, 1)
    entry, why = nil, "an option of an optimizer"
  end
  if entry then
    return replay(self, entry)
  end
  if C.mascon_program_active() ~= 0 then -- a model is being saved
    return self.fn(...)
  end
  local n_values, values
  entry, n_values, values = record(self, n, ...)
  add(self, entry, why)
  return unpack(values, 1, n_values)
end

--- Gives a function that records what fn runs at its first call and replays it from the second on, with no
--- Lua, no checks and no memory to allocate: a training step, or the forward pass of a network. Tensors are
--- passed as arguments. What fn computes in Lua (numbers, decisions, print) is done when it is recorded and
--- is then a constant; learning rates and the counts of optimizers, and random numbers, are not: they go on
--- as in ordinary calls. Another shape or type of an argument, another value of one that is no tensor, and
--- another mode (train(), no_grad) are recorded for themselves, up to eight for one function. A plain field
--- that fn reads (net.scale = 2) is a constant, and a later change of it is not noticed: pass it as an
--- argument. What fn returns are copies outside of any graph.
---@param fn function
---@return function
function M.compile(fn)
  if type(fn) ~= "function" then
    local callable = type(fn) == "table" and type((getmetatable(fn) or {}).__call) == "function"
    options.fail("compile", ("argument 1 is %s; expected a function"):format(options.show(fn)),
      callable and "mascon.compile(function(x) return net(x) end)" or nil)
  end
  local self = {
    fn = fn, entries = {}, constants = {}, room = 8, given = layer.new("mascon_tensor *[?]", 8), count = 0,
  }
  local function compiled(...)
    return call(self, ...)
  end
  M.books[compiled] = self
  return compiled
end

local counts = layer.new "int64_t[8]"
local names = { "steps", "dropped", "arena", "tensors", "graph" } -- ORDER: MASCON_PROGRAM_COUNT_*

--- Figures of a compiled function, newest recording first: {steps =, dropped =, arena =, tensors =, graph =}.
---@param compiled function
---@return table[]
function M.recordings(compiled)
  local list = {}
  for i, entry in ipairs(M.books[compiled].entries) do
    C.mascon_program_counts(entry.handle, counts)
    list[i] = {}
    for k, name in ipairs(names) do
      list[i][name] = tonumber(counts[k - 1])
    end
  end
  return list
end

return M
