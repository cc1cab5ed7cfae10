--- What the library's other parts tell a recording of mascon.compile, while there is one: modules that run,
--- optimizers that step, memory that outlives it.
-- `layer.state.recording` is the recording of this Lua state, nil outside of one:
--   handle      the mascon_program
--   modules     list {values, training, frozen} of the modules that ran
--   steps       list of what an optimizer does before each replay (M.step)

local layer = require "mascon.ffi"
local options = require "mascon.options"

local C, state = layer.C, layer.state
local M = {}

--- Runs fn so that what it makes counts as there before the recording: state of an optimizer.
---@param fn function
function M.outside(fn, ...)
  local recording = state.recording
  if not recording or recording.paused then
    return fn(...)
  end
  recording.paused = true
  C.mascon_program_pause(recording.handle, 1)
  local function finish(good, ...)
    recording.paused = nil
    C.mascon_program_pause(recording.handle, 0)
    if not good then
      error((...), 0)
    end
    return ...
  end
  return finish(pcall(fn, ...))
end

--- Refuses what would be done once, when recorded, and never again.
---@param name string prefix of the error
---@param what string
---@param hint? string
function M.refuse(name, what, hint)
  if state.recording then
    options.fail(name, what .. " cannot be recorded", hint)
  end
end

--- The tensors among fn's variables from outside, by their numbers.
---@param fn function
---@return table<integer, mascon.Tensor>
function M.tensors_of(fn)
  local found, i = {}, 1
  while true do
    local name, v = debug.getupvalue(fn, i)
    if not name then
      return found
    elseif layer.is_tensor(v) then
      found[i] = v
    end
    i = i + 1
  end
end

--- Refuses another tensor in the place of one that the recording works with: a replay would go on with the
--- old one.
---@param name string prefix of the error
---@param place string the variable or field
---@param before any
---@param now any
function M.replaced(name, place, before, now)
  local recording = state.recording
  if not recording or recording.paused or not layer.is_tensor(before) or before == now or before.h == nil
    or C.mascon_program_uses(recording.handle, before.h) == 0
    or layer.is_tensor(now) and C.mascon_tensor_storage_id(now.h) == C.mascon_tensor_storage_id(before.h) then
    return
  end
  M.refuse(name, ("another tensor in the place of %s, which the function works with,"):format(place),
    ("%s:copy_(...)"):format(place))
end

--- How many kernel runs were recorded so far; nil outside of a recording.
---@return integer?
function M.count()
  local recording = state.recording
  return recording and not recording.paused and C.mascon_program_steps(recording.handle) or nil
end

---@class mascon.recording.Step
---@field op integer whose runs change
---@field first integer the recorded runs, from `first` (counted from 0) to before `last`
---@field last integer
---@field given table options by name as they are in the recording
---@field names string[] their names
---@field valid fun(): boolean whether the recording still works on the right memory
---@field advance fun(): table counts one step; gives the options for it
---@field undo fun() takes the count back

--- Notes what an optimizer's step does before each replay.
---@param step mascon.recording.Step
function M.step(step)
  local steps = state.recording.steps
  steps[#steps + 1] = step
end

--- Notes a module that runs, and all below it: what their modes decide is recorded.
function M.module(module, each)
  local recording = state.recording
  if recording.seen[module] then
    return
  end
  each(module, function(_, m)
    if not recording.seen[m] then
      recording.seen[m] = true
      local list = recording.modules
      local values = getmetatable(m).books.values
      list[#list + 1] = { values = values, training = rawget(values, "training"),
        frozen = rawget(values, "frozen") }
    end
  end)
end

--- Notes a change after which recordings no longer stand for what a script has: other parameters in a
--- module, another layer in the place of one.
function M.changed()
  state.structure = (state.structure or 0) + 1
end

return M
