--- The state's random generator: counter-based (Philox4x32-10), one per Lua state.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local recording = require "mascon.recording"

local C = layer.C
local M = {}

local function make(seed)
  local box = layer.new "mascon_generator *[1]"
  layer.check(C.mascon_generator_new(box, seed), "manual_seed")
  return layer.gc(box[0], C.mascon_generator_release)
end

local numbers = layer.new "uint64_t[2]"

--- The generator: `.h` is the C handle, `.seed` the seed it was started with.
---@return table
function M.generator()
  local g = layer.state.generator
  if not g then
    g = { seed = 0, h = make(0) }
    layer.state.generator = g
  end
  return g
end

--- Restarts the generator; every later random operation follows from the seed.
---@param seed integer 0 or more, below 2^53
function M.manual_seed(seed)
  options.check("manual_seed", { "seed", nil, "integer", min = 0 }, seed)
  recording.refuse("manual_seed", "a new seed", "seed outside of the compiled function")
  local g = M.generator()
  g.seed = seed
  C.mascon_generator_seed(g.h, seed)
end

--- The whole state as a table {seed =, counter =}, for checkpoints.
function M.get_state()
  C.mascon_generator_get(M.generator().h, numbers, numbers + 1)
  return { seed = layer.number(numbers[0]), counter = layer.number(numbers[1]) }
end

--- Restores what get_state gave.
function M.set_state(given)
  recording.refuse("set_state", "another state of the generator", "set it outside of the compiled function")
  local g = M.generator()
  g.seed = given.seed
  C.mascon_generator_set(g.h, given.seed, given.counter)
end

M.generator()
return M
