--- What must hold for hours, in small: training goes on after a thousand bad labels, and ten thousand steps
-- leave the device's memory as it was (fewer on the fake device, which takes longer).

local mascon = require "mascon"
local nn = mascon.nn

local DEVICE = os.getenv "MASCON_TEST_DEVICE"
if DEVICE == nil or DEVICE == "" or DEVICE == "cpu" or not mascon.cuda.is_available() then
  describe("cuda", function()
    pending("needs MASCON_TEST_DEVICE=cuda and a device, or the fake one")
  end)
  return
end
local STEPS = (os.getenv "MASCON_BACKEND_PATH" or ""):find("fake", 1, true) and 600 or 10000

describe("cuda, for long", function()
  local model, optimizer, x, y, step

  before_each(function()
    mascon.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)):to(DEVICE)
    optimizer = mascon.optim.Adam(model:parameters(), { lr = 0.01 })
    x = mascon.randn({ 6, 8 }):to(DEVICE)
    y = mascon.tensor({ 1, 2, 3, 1, 2, 3 }, { dtype = "int64", device = DEVICE })
    function step(labels)
      local loss = mascon.cross_entropy(model(x), labels)
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
      return loss
    end
  end)

  it("trains on after a thousand bad labels", function()
    local bad = mascon.tensor({ 1, 2, 9, 1, 2, 3 }, { dtype = "int64", device = DEVICE })
    for round = 1, 1000 do
      local loss = mascon.cross_entropy(model(x), bad)
      local good, text = pcall(loss.item, loss)
      assert.is_false(good, "round " .. round)
      assert.is_truthy(tostring(text):find("target 3 of 6 is 9; classes run 1..3", 1, true), tostring(text))
    end
    local first, last = step(y):item(), nil
    for _ = 1, 50 do
      last = step(y):item()
    end
    assert.is_true(last < first)
  end)

  it("keeps memory flat over " .. STEPS .. " steps", function()
    local function steps(n)
      for i = 1, n do
        local loss = step(y)
        if i % 100 == 0 then
          assert.is_true(loss:item() < 10)
        end
      end
      collectgarbage()
      collectgarbage()
      return mascon.memory(DEVICE)
    end
    local before = steps(STEPS / 10)
    local after = steps(STEPS - STEPS / 10)
    assert.equal(before.live, after.live)
    -- The collector may let a little more wait at one time than at another.
    assert.is_true(after.total <= before.total + 32 * 2 ^ 20, before.total .. " -> " .. after.total)
  end)
end)
