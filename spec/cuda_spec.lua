--- The CUDA backend's own promises: devices, copies, reading, errors, memory, loaders. Runs with
-- MASCON_TEST_DEVICE=cuda (scripts/test does so on the fake device); pending without it.

local mascon = require "mascon"
local data = require "mascon.data"

local DEVICE = os.getenv "MASCON_TEST_DEVICE"
if DEVICE == nil or DEVICE == "" or DEVICE == "cpu" or not mascon.cuda.is_available() then
  describe("cuda", function()
    pending("needs MASCON_TEST_DEVICE=cuda and a device, or the fake one")
  end)
  return
end

local function message(fn, ...)
  local good, err = pcall(fn, ...)
  assert.is_false(good)
  return tostring(err)
end

describe("cuda", function()
  it("is listed among the devices", function()
    local names = {}
    for _, d in ipairs(mascon.devices()) do
      names[d.name] = d.available
    end
    assert.is_true(names["cuda:0"])
    assert.equal("cuda:0", mascon.device "auto")
    assert.equal("cuda:0", mascon.device "cuda")
  end)

  it("refuses devices that do not exist", function()
    assert.is_truthy(message(mascon.zeros, { 3 }, { device = "cuda:15" })
      :find("zeros: device cuda:15 does not exist; this machine has cuda:0", 1, true))
  end)

  it("moves tensors there and back", function()
    local x = mascon.randn { 3, 4, 5 }
    local y = x:to(DEVICE)
    assert.equal("cuda:0", y.device)
    assert.equal("cpu", y:cpu().device)
    assert.same(x:totable(), y:cpu():totable())
    assert.same(x:totable(), y:totable())
    assert.equal(y, y:to(DEVICE))
    assert.equal("cuda:0", x:cuda().device)
  end)

  it("keeps dtypes and layouts on the way", function()
    for _, dtype in ipairs { "float32", "float64", "bfloat16", "float16", "int64", "int32", "uint8", "bool" } do
      local x = mascon.tensor { { 0, 1, 1 }, { 1, 0, 1 } }:to(dtype)
      local y = x:to(DEVICE)
      assert.equal(dtype, y.dtype)
      assert.same(x:totable(), y:totable())
      assert.same(x:t():totable(), y:t():totable())
      assert.same(x:t():totable(), x:t():to(DEVICE):totable())
    end
    local z = mascon.randn { 2, 3, 4, 5 }
    local nhwc = require "mascon.create".new_nhwc("spec", z.shape)
    nhwc:copy_(z)
    assert.same(z:totable(), nhwc:to(DEVICE):cpu():totable())
    local layer = require "mascon.ffi"
    assert.equal(layer.C.MASCON_LAYOUT_NHWC, layer.C.mascon_tensor_layout(nhwc:to(DEVICE).h))
  end)

  it("moves empty tensors and scalars", function()
    assert.same({ 0, 3 }, mascon.zeros({ 0, 3 }):to(DEVICE):cpu().shape)
    assert.equal(2.5, mascon.tensor(2.5):to(DEVICE):item())
  end)

  it("sends gradients back through copies", function()
    local x = mascon.ones({ 2, 2 }, { requires_grad = true })
    local y = (x:to(DEVICE) * 3):sum()
    y:backward()
    assert.equal("cpu", x.grad.device)
    assert.same({ { 3, 3 }, { 3, 3 } }, x.grad:totable())
  end)

  it("refuses tensors of two devices", function()
    local text = message(function() return mascon.ones { 2 } + mascon.ones({ 2 }, { device = DEVICE }) end)
    assert.is_truthy(text:find("add: inputs on cpu and cuda:0", 1, true), text)
  end)

  it("gives no address of a device's memory", function()
    assert.is_truthy(message(function() return mascon.ones({ 2 }, { device = DEVICE }):data_ptr() end)
      :find("only CPU memory has an address", 1, true))
  end)

  it("reads a value that was written again", function()
    local x = mascon.ones({ 1 }, { device = DEVICE })
    for i = 1, 40 do
      local before = x:sum()
      x:add_(1)
      assert.equal(i, before:item())
      assert.equal(i + 1, x:item())
    end
  end)

  it("tells a bad label at the next read and goes on", function()
    local x = mascon.randn({ 4, 3 }, { device = DEVICE })
    for round = 1, 20 do
      local loss = mascon.cross_entropy(x, mascon.tensor({ 1, 2, 3, 4 }, { dtype = "int64", device = DEVICE }))
      local text = message(loss.item, loss)
      assert.is_truthy(text:find("cross_entropy: target 4 of 4 is 4; classes run 1..3", 1, true), text)
      assert.is_number(x:sum():item(), "round " .. round)
    end
    mascon.cuda.synchronize(DEVICE)
  end)

  it("tells a bad label when it is waited for", function()
    local x = mascon.randn({ 2, 3 }, { device = DEVICE })
    mascon.cross_entropy(x, mascon.tensor({ 0, 1 }, { dtype = "int64", device = DEVICE }))
    local text = message(mascon.cuda.synchronize, DEVICE)
    assert.is_truthy(text:find("cross_entropy: target 1 of 2 is 0; classes run 1..3", 1, true), text)
    assert.is_truthy(text:find("labels counted from 0? add 1", 1, true))
    mascon.cuda.synchronize(DEVICE)
  end)

  it("says how much memory is missing", function()
    local text = message(mascon.zeros, { 2 ^ 40 }, { device = DEVICE })
    assert.is_truthy(text:find("free on cuda:0", 1, true), text)
    assert.is_truthy(text:find("float32 {1099511627776}", 1, true), text)
  end)

  it("keeps memory flat over many steps", function()
    local function step()
      local x = mascon.randn({ 64, 32 }, { device = DEVICE })
      return (x * 2 + 1):sum()
    end
    local function steps(n)
      for _ = 1, n do
        for _ = 1, 10 do
          step()
        end
        collectgarbage()
        collectgarbage()
      end
      return mascon.memory(DEVICE)
    end
    local before, after = steps(3), steps(20)
    assert.equal(before.live, after.live)
    assert.equal(before.raw_allocations, after.raw_allocations)
    assert.is_true(after.total > 0)
    mascon.empty_cache(DEVICE)
    assert.equal(0, mascon.memory(DEVICE).cached)
    mascon.reset_peak_memory(DEVICE)
    assert.equal(mascon.memory(DEVICE).live, mascon.memory(DEVICE).peak)
  end)

  it("counts less for the collector where a device has much memory", function()
    local program = os.getenv "MASCON_PROGRAM"
    if not program or not os.getenv "MASCON_BACKEND_PATH" then
      return pending "needs the program and the fake device"
    end
    local function debt(bytes, device)
      local f = assert(io.popen(("MASCON_FAKE_MEMORY=%.0f '%s' -e 'm = require \"mascon\" "
        .. "x = m.zeros({ 1024, 256 }, { device = \"%s\" }) + 1 print(tonumber(require(\"mascon.ffi\").call.gc_debt))'")
        :format(bytes, program, device)))
      local text = f:read "*a"
      f:close()
      return tonumber(text)
    end
    assert.equal(2 ^ 20, debt(2 ^ 31, "cuda"))
    assert.equal(2 ^ 20 / 4, debt(2 ^ 33, "cuda"))
    assert.equal(2 ^ 20 / 16, debt(2 ^ 37, "cuda"))
    assert.equal(2 ^ 20, debt(2 ^ 37, "cpu"))
  end)

  it("takes the settings", function()
    mascon.set_float32_precision "highest"
    mascon.deterministic(true)
    mascon.benchmark(true)
    mascon.deterministic(false)
    mascon.benchmark(false)
    assert.is_truthy(message(mascon.set_float32_precision, "low"):find "set_float32_precision")
  end)

  it("reports its operations", function()
    for _, row in ipairs(require("mascon.op").list()) do
      if row.name == "full" then
        assert.is_true(row.cuda ~= 0)
      end
    end
  end)
end)

describe("DataLoader on cuda", function()
  local function pairs_of(n)
    return data.TensorDataset(mascon.arange(n):view { n, 1 }, mascon.arange(n):to "int64" + 1)
  end

  local function collect(loader)
    local seen = {}
    for x, y in loader() do
      seen[#seen + 1] = { x:totable(), y:totable() }
    end
    return seen
  end

  it("gives the batches of the CPU, on the device", function()
    for _, workers in ipairs { 0, 2 } do
      local options = { batch_size = 4, shuffle = true, seed = 7, num_workers = workers }
      local want = collect(data.DataLoader(pairs_of(19), options))
      options.device = DEVICE
      local loader = data.DataLoader(pairs_of(19), options)
      assert.same(want, collect(loader))
      for x, y in loader() do
        assert.equal("cuda:0", x.device)
        assert.equal("cuda:0", y.device)
      end
    end
  end)

  it("uploads what Lua collates", function()
    local ds = { len = function() return 5 end, get = function(_, i) return mascon.tensor { i, 2 * i }, i end }
    local n = 0
    for x, y in data.DataLoader(ds, { batch_size = 2, device = DEVICE })() do
      n = n + x.shape[1]
      assert.equal("cuda:0", x.device)
      assert.equal(y:sum():item() * 3, x:sum():item())
    end
    assert.equal(5, n)
  end)

  it("counts batches as they are given out", function()
    local loader = data.DataLoader(pairs_of(10), { batch_size = 2, device = DEVICE, seed = 1 })
    local batches = loader()
    batches()
    batches()
    local state = loader:state_dict()
    assert.equal(2, state.batch)
    local other = data.DataLoader(pairs_of(10), { batch_size = 2, device = DEVICE, seed = 1 })
    other:load_state_dict(state)
    local x = other()()
    assert.same({ { 4 }, { 5 } }, x:totable())
    loader:close()
    other:close()
  end)

  it("tells a failing sample when it is its turn", function()
    local ds = { len = function() return 4 end, get = function(_, i)
      if i == 3 then
        error "broken"
      end
      return mascon.tensor { i }
    end }
    local batches = data.DataLoader(ds, { batch_size = 1, device = DEVICE })()
    assert.equal(1, batches():item())
    assert.equal(2, batches():item())
    assert.is_truthy(message(batches):find("broken", 1, true))
  end)

  it("leaves nothing behind", function()
    collect(data.DataLoader(pairs_of(8), { batch_size = 4, device = DEVICE }))
    collectgarbage()
    collectgarbage()
    local live = mascon.memory(DEVICE).live
    for _ = 1, 3 do
      collect(data.DataLoader(pairs_of(8), { batch_size = 4, device = DEVICE }))
      data.DataLoader(pairs_of(8), { batch_size = 4, device = DEVICE })()() -- left early
    end
    collectgarbage()
    collectgarbage()
    assert.equal(live, mascon.memory(DEVICE).live)
  end)

  it("pins batches that stay on the CPU", function()
    local loader = data.DataLoader(pairs_of(6), { batch_size = 3, pin_memory = true })
    for x in loader() do
      assert.equal("cpu", x.device)
      local there = x:to(DEVICE)
      x:zero_()
      assert.is_true(there:sum():item() > 0)
    end
  end)
end)
