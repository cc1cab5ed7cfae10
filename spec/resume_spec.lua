-- A run that was killed and resumed from its checkpoint ends with the same bits as the one that was not.
local mascon = require "mascon"
local resume = require "spec.support.resume"

local path = os.tmpname() .. ".safetensors"

local function remove_all()
  os.execute(("rm -f '%s' '%s'.*"):format(path, path))
end

-- Where the run is cut: the moment in the loop and the step (batch) or epoch at which it comes.
local cuts = {
  { "before the first step", "start" },
  { "after the first batch", "batch", 1 },
  { "in the middle of an epoch", "batch", 3 },
  { "between the optimizer's and the schedule's step", "step", 4 },
  { "after the last batch of an epoch", "batch", 6 },
  { "before the last batch of an epoch", "batch", 5 },
  { "at the end of an epoch", "epoch", 2 },
  { "after the first batch of the next epoch", "batch", 7 },
  { "in the middle of the second epoch", "batch", 10 },
  { "after the last batch of the second epoch, before its end", "step", 12 },
  { "in the last epoch", "batch", 15 },
  { "after the last batch of all", "batch", 18 },
}

local function at(cut)
  return function(run, where)
    return where == cut[2] and (where == "start" or (where == "epoch" and run.epoch or run.step) == cut[3])
  end
end

local function whole(how)
  local run = resume.new(how, 7)
  assert.is_true(resume.train(run))
  return resume.fingerprint(run)
end

--- A run that goes on after its cut as a new one: the loop differs where the cut lies between the two steps
--- or behind the last batch, so the missing part is made up first.
local function resumed(how, cut)
  local first = resume.new(how, 7)
  assert.is_false(resume.train(first, at(cut)))
  resume.save(path, first)
  first.loader:close()
  mascon.manual_seed(99)
  mascon.rand { 3 } -- whatever the new process did before it loads
  local second = resume.new(how, 1234)
  resume.load(path, second)
  if cut[2] == "step" then
    second.scheduler:step()
  end
  assert.is_true(resume.train(second))
  return resume.fingerprint(second)
end

local function assert_same_text(expected, got)
  if expected ~= got then
    local a, b = expected:gmatch "[^\n]+", got:gmatch "[^\n]+"
    for line in a do
      local other = b()
      if line ~= other then
        error(("the runs differ:\n%s\n%s"):format(line:sub(1, 200), tostring(other):sub(1, 200)), 0)
      end
    end
    error("the runs differ in length", 0)
  end
end

local ways = {
  { optimizer = "Adam", schedule = "step", workers = 0 },
  { optimizer = "SGD", schedule = "cycle", workers = 1 },
  { optimizer = "RMSprop", schedule = "sequence", workers = 2 },
  { optimizer = "AdamW", schedule = "cycle", workers = 0, lua = true },
}

describe("a resumed run", function()
  after_each(remove_all)

  for _, how in ipairs(ways) do
    local name = ("%s, %s schedule, %d workers%s"):format(how.optimizer, how.schedule, how.workers,
      how.lua and ", data set in Lua" or "")
    it("ends with the same bits: " .. name, function()
      local expected = whole(how)
      assert_same_text(expected, whole(how))
      for _, cut in ipairs(cuts) do
        local good, err = pcall(function()
          assert_same_text(expected, resumed(how, cut))
        end)
        assert(good, cut[1] .. ": " .. tostring(err))
      end
    end)
  end

  it("does not depend on the number of workers", function()
    local how = { optimizer = "Adam", schedule = "step", workers = 0 }
    local expected = whole(how)
    local first = resume.new(how, 7)
    resume.train(first, at { "", "batch", 9 })
    resume.save(path, first)
    for workers = 1, 2 do
      local second = resume.new({ optimizer = "Adam", schedule = "step", workers = workers }, 5)
      resume.load(path, second)
      assert.is_true(resume.train(second))
      assert_same_text(expected, resume.fingerprint(second))
    end
  end)

  it("comes back from a process that was killed while it trained", function()
    local how = { optimizer = "Adam", schedule = "sequence", workers = 1 }
    local expected = whole(how)
    local script = os.tmpname()
    local f = assert(io.open(script, "w"))
    f:write(([[
      local ffi = require "ffi"
      ffi.cdef "int getpid(void); int kill(int, int);"
      local resume = require "spec.support.resume"
      local run = resume.new({ optimizer = "Adam", schedule = "sequence", workers = 1 }, 7)
      resume.train(run, function(_, where)
        if where == "batch" and run.step %% 2 == 0 then
          resume.save(%q, run, { keep = 2 })
        elseif where == "step" and run.step == 11 then
          ffi.C.kill(ffi.C.getpid(), 9)
        end
        return false
      end)]]):format(path))
    f:close()
    os.execute(("%s '%s' >/dev/null 2>&1"):format(arg and arg[-1] or "luajit", script))
    os.remove(script)
    local run = resume.new(how, 3)
    assert.equal(10, resume.load(path, run).step)
    assert.is_true(resume.train(run))
    assert_same_text(expected, resume.fingerprint(run))
  end)
end)
