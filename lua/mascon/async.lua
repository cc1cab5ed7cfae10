--- mascon.async: a saved model that runs in a thread of its own while the Lua state goes on.

local layer = require "mascon.ffi"
local module = require "mascon.nn.module"
local options = require "mascon.options"
local saved_model = require "mascon.saved_model"

local C, check = layer.C, layer.check
local M = {}

---@class mascon.Job one run of a model in the background
---@field private handle any
local Job = {}
Job.__index = Job

--- Starts model(...) in the background and returns at once. What the inputs hold must not be changed before
--- the job is done. At most four jobs run at a time; later ones wait their turn, in order.
---@param model mascon.Model of mascon.load_model
---@param ... mascon.Tensor|table as for model(...)
---@return mascon.Job
function M.async(model, ...)
  if not saved_model.is_model(model) then
    options.fail("async", ("argument 1 is %s; expected a model of mascon.load_model"):format(
      module.is_module(model) and "a " .. model.class_name or options.show(model)),
      module.is_module(model) and "mascon.save_model(path, model, example), then mascon.load_model(path): Lua code "
      .. "cannot run in another thread" or nil)
  end
  local inputs = saved_model.take_inputs(model, select("#", ...), ...)
  local box = layer.new "mascon_job *[1]"
  check(C.mascon_job_start(box, model.handle, inputs, #model.inputs), "async")
  return setmetatable({ handle = layer.gc(box[0], C.mascon_job_release), model = model }, Job)
end

--- Whether the result is there. Never waits: ask from a timer or once in a frame.
---@return boolean
function Job:done()
  return C.mascon_job_done(self.handle) ~= 0
end

--- What model(...) returns; waits for it. An error of the run is raised here, each time.
function Job:result()
  if not self.values then
    local n = #self.model.outputs
    local made, values = layer.new("mascon_tensor *[?]", n), {}
    check(C.mascon_job_result(self.handle, made, n), "async")
    for i = 1, n do
      values[i] = layer.wrap(made[i - 1])
    end
    self.values = values
  end
  return saved_model.give_outputs(self.model, self.values)
end

return M
