-- Progress bars.
local mascon = require "mascon"

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

--- Something that takes text as a file does.
local function recorder()
  local parts = {}
  local file = {}
  function file.write(_, ...)
    for i = 1, select("#", ...) do
      parts[#parts + 1] = tostring((select(i, ...)))
    end
  end
  function file.flush() end
  function file.text()
    return table.concat(parts)
  end
  function file.lines()
    local list = {}
    for line in file.text():gmatch "[^\n]+" do
      list[#list + 1] = line
    end
    return list
  end
  return file
end

local function collect(bar)
  local list = {}
  for v in bar do
    list[#list + 1] = v
  end
  return list
end

describe("tqdm", function()
  it("counts, walks lists and runs iterators", function()
    local file = recorder()
    assert.same({ 1, 2, 3 }, collect(mascon.tqdm(3, { file = file })))
    assert.same({ "a", "b" }, collect(mascon.tqdm({ "a", "b" }, { file = file })))
    local n = 0
    assert.same({ 2, 4 }, collect(mascon.tqdm(function()
      n = n + 2
      return n <= 4 and n or nil
    end, { file = file })))
    assert.same({}, collect(mascon.tqdm(0, { file = file })))
  end)

  it("walks a data loader, again in each loop", function()
    local x = mascon.arange(0, 10):reshape(10, 1)
    local y = mascon.ones({ 10 }, { dtype = "int64" })
    local loader = mascon.data.DataLoader(mascon.data.TensorDataset(x, y), { batch_size = 4 })
    local bar = mascon.tqdm(loader, { file = recorder() })
    for _ = 1, 2 do
      local rows = 0
      for X, labels in bar do
        assert.equal(#X, #labels)
        rows = rows + #X
      end
      assert.equal(10, rows)
    end
    assert.equal(3, bar.total)
  end)

  it("writes one plain line per tenth in a log", function()
    local file = recorder()
    local bar = mascon.tqdm(1000, { desc = "epoch 1", file = file })
    for i in bar do
      bar:set_postfix { loss = 1 / i, acc = 0.5, tag = "x" }
    end
    local lines = file:lines()
    assert.equal(10, #lines)
    assert.truthy(lines[1]:find(
      "^epoch 1:  10%% 100/1000 %[%d%d:%d%d<%d%d:%d%d, [%d.]+it/s, acc=0.5, loss=0.01, tag=x%]$"))
    assert.truthy(lines[10]:find("^epoch 1: 100%% 1000/1000 "))
    assert.is_nil(file:text():find "[\r\27]")
  end)

  it("writes at most one line per step, and few lines without a total", function()
    local file = recorder()
    collect(mascon.tqdm(4, { file = file, unit = "img" }))
    assert.equal(4, #file:lines())
    assert.truthy(file:lines()[4]:find("100%% 4/4 .*img/s"))
    file = recorder()
    local bar = mascon.tqdm { file = file }
    for _ = 1, 50 do
      bar:update(2)
    end
    bar:close()
    assert.equal(1, #file:lines())
    assert.truthy(file:lines()[1]:find "^100it ")
  end)

  it("ends when told after a loop was left early, and starts anew", function()
    local file = recorder()
    local bar = mascon.tqdm(10, { file = file })
    for i in bar do
      if i == 3 then
        break
      end
    end
    bar:close()
    assert.truthy(file:lines()[#file:lines()]:find "20%% 2/10")
    assert.equal(10, #collect(bar))
  end)

  it("is silent where disabled", function()
    local file = recorder()
    collect(mascon.tqdm(5, { file = file, disable = true }))
    assert.equal("", file:text())
  end)

  it("redraws one line on a terminal", function()
    local bar = mascon.tqdm(20, { desc = "x", mininterval = 0, file = recorder() })
    bar.terminal = true
    collect(bar)
    local text = bar.file:text()
    assert.truthy(text:find("x:  50%|##########          | 10/20 [", 1, true))
    assert.truthy(text:find("x: 100%|####################| 20/20 [", 1, true))
    local _, newlines = text:gsub("\n", "")
    assert.equal(1, newlines)
    local passing = mascon.tqdm(2, { leave = false, file = recorder() })
    passing.terminal = true
    collect(passing)
    assert.truthy(passing.file:text():find "\r\27%[K$")
  end)

  it("refuses bad arguments", function()
    assert.truthy(message(mascon.tqdm, "x"):find('tqdm: argument 1 is "x"', 1, true))
    assert.truthy(message(mascon.tqdm, 3, { des = "x" }):find('did you mean "desc"?', 1, true))
    assert.truthy(message(function() mascon.tqdm(3):set_postfix(5) end):find("set_postfix: argument 1 is 5", 1, true))
  end)
end)
