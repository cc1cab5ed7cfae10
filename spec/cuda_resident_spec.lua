--- DataLoader{resident = true}: pictures that lie on a device give the batches of the CPU's loader. Runs
-- with MASCON_TEST_DEVICE=cuda, as cuda_spec.lua does; what concerns the CPU runs always.

local mascon = require "mascon"
local data = require "mascon.data"
local T = mascon.transforms

local DEVICE = os.getenv "MASCON_TEST_DEVICE"
local on_device = DEVICE ~= nil and DEVICE ~= "" and DEVICE ~= "cpu" and mascon.cuda.is_available()

local function message(fn, ...)
  local good, err = pcall(fn, ...)
  assert.is_false(good)
  return tostring(err)
end

local function pictures(n, transform, size)
  return mascon.datasets.FakeData { size = n, image_size = { 3, size or 8, size or 8 }, transform = transform }
end

local function options(more)
  local o = { batch_size = 5, shuffle = true, seed = 11 }
  for key, v in pairs(more or {}) do
    o[key] = v
  end
  return o
end

--- The batches of `epochs` epochs as tensors of the CPU.
local function collect(loader, epochs)
  local seen = {}
  for _ = 1, epochs or 1 do
    for x, y in loader() do
      seen[#seen + 1] = { x = x:cpu(), y = y:cpu(), device = x.device }
    end
  end
  return seen
end

local function assert_same(want, got)
  assert.equal(#want, #got)
  for i = 1, #want do
    assert.same(want[i].x.shape, got[i].x.shape)
    assert.equal(want[i].x.dtype, got[i].x.dtype)
    assert.is_true(want[i].x:eq(got[i].x):all():item(), "pictures of batch " .. i)
    assert.equal("int64", got[i].y.dtype)
    assert.same(want[i].y:totable(), got[i].y:totable())
  end
end

describe("a resident data set on the CPU", function()
  it("is the ordinary one: it lies there already", function()
    local ds = pictures(12, T.ToTensor())
    assert_same(collect(data.DataLoader(ds, options())),
      collect(data.DataLoader(ds, options { device = "cpu", resident = true })))
  end)

  it("needs a device", function()
    assert.is_truthy(message(data.DataLoader, pictures(4), { resident = true })
      :find("DataLoader: resident = true needs a device", 1, true))
  end)
end)

if not on_device then
  describe("a resident data set", function()
    pending("needs MASCON_TEST_DEVICE=cuda and a device, or the fake one")
  end)
  return
end

describe("a resident data set", function()
  local function check(ds, more, epochs)
    local o = options(more)
    local want = collect(data.DataLoader(ds, o), epochs)
    o.device, o.resident = DEVICE, true
    local got = collect(data.DataLoader(ds, o), epochs)
    assert.equal("cuda:0", got[1].device)
    assert_same(want, got)
  end

  it("gives the batches of the CPU's loader, bit for bit", function()
    local normalise = T.Normalize({ 0.49, 0.48, 0.45 }, { 0.25, 0.24, 0.26 })
    check(pictures(13, T.Compose { T.RandomCrop(8, { padding = 2 }), T.RandomHorizontalFlip(), T.ToTensor(),
      normalise }), nil, 3)
    check(pictures(13, T.Compose { T.RandomCrop(6, { padding = { 1, 3 }, fill = { 7, 200, 90 } }),
      T.RandomVerticalFlip(), T.RandomHorizontalFlip(0.8), T.ToTensor(), normalise }), { num_workers = 2 }, 2)
    check(pictures(7, T.Compose { T.ToTensor(), T.RandomHorizontalFlip(), normalise }))
    check(pictures(7, T.Compose { T.CenterCrop(11), T.ToTensor() }))
    check(pictures(7, T.Compose { T.Pad { 1, 2, 3, 4 }, T.CenterCrop(5) }))
    check(pictures(7, T.ToTensor()), { drop_last = true })
    check(pictures(7), { batch_size = 64 })
  end)

  it("takes parts of data sets, one after the other, and samplers", function()
    local a, b = pictures(6, T.ToTensor()), pictures(5, T.ToTensor())
    b.transform = a.transform
    check(data.Subset(a, { 6, 2, 2, 5 }), { batch_size = 3 })
    check(data.ConcatDataset { a, b })
    check(a, { shuffle = false, sampler = { 3, 3, 1 } })
    check(data.TensorDataset(mascon.randint(0, 255, { 6, 1, 3, 4 }):to "uint8", mascon.arange(6):to "int64"))
  end)

  it("brings the pictures once, and each batch is one launch", function()
    local loader = data.DataLoader(pictures(40, T.ToTensor()), options { device = DEVICE, resident = true })
    collect(loader)
    local begun = mascon.memory(DEVICE).live
    local batches = loader()
    local rows = mascon.profile(function()
      batches()
      batches()
    end)
    local calls = {}
    for _, row in ipairs(rows) do
      calls[row.op] = row.calls
    end
    assert.equal(2, calls.picture_batch)
    assert.is_nil(calls.transfer)
    collect(loader, 2)
    collectgarbage()
    collectgarbage()
    assert.is_true(mascon.memory(DEVICE).live <= begun + 40 * 32)
  end)

  it("goes on where it was", function()
    local o = options { device = DEVICE, resident = true }
    local ds = pictures(20, T.Compose { T.RandomCrop(8, { padding = 1 }), T.ToTensor() })
    local loader = data.DataLoader(ds, o)
    local batches = loader()
    batches()
    batches()
    local other = data.DataLoader(ds, o)
    other:load_state_dict(loader:state_dict())
    local want, got = batches(), other()()
    assert.is_true(want:eq(got):all():item())
    assert.equal(3, loader:state_dict().batch)
    loader:close()
    assert.is_truthy(message(batches):find("ended by close", 1, true))
  end)

  it("says what does not run there", function()
    local function refusal(ds, more)
      local o = options(more)
      o.device, o.resident = DEVICE, true
      return message(function() return data.DataLoader(ds, o)() end)
    end
    local text = refusal(pictures(4, T.Compose { T.ToTensor(), T.RandomErasing() }))
    assert.is_truthy(text:find("RandomErasing does not run on pictures that lie on a device", 1, true), text)
    assert.is_truthy(text:find("without resident = true", 1, true), text)
    assert.is_truthy(refusal(pictures(4, T.Resize(9))):find("Resize does not run", 1, true))
    assert.is_truthy(refusal(pictures(4, T.RandomCrop(8, { padding = 2, padding_mode = "reflect" })))
      :find("RandomCrop without a constant border", 1, true))
    assert.is_truthy(refusal(pictures(4, T.Compose { T.ToTensor(), T.RandomCrop(8, { padding = 2 }) }))
      :find("RandomCrop behind ToTensor", 1, true))
    local lua = pictures(4, T.Lambda(function(x) return x end))
    assert.is_truthy(refusal(lua):find("here Lua takes part", 1, true))
    assert.is_truthy(refusal(pictures(4), { collate_fn = function(s) return s end })
      :find("here Lua takes part", 1, true))
    assert.is_truthy(refusal(data.TensorDataset(mascon.randn { 4, 3, 2, 2 }, mascon.arange(4):to "int64"))
      :find("no uint8 picture", 1, true))
    assert.is_truthy(refusal(pictures(4), { sampler = function() return { 5 } end, shuffle = false })
      :find("index 1 of the sampler is 5", 1, true))
  end)

  it("tries again where memory is short", function()
    local layer = require "mascon.ffi"
    local loader = data.DataLoader(pictures(6, T.ToTensor()), options { device = DEVICE, resident = true })
    local want = collect(loader)
    for n = 1, 12 do
      layer.C.mascon_testing_fail_allocation(n)
      local good, err = pcall(collect, data.DataLoader(pictures(6, T.ToTensor()),
        options { device = DEVICE, resident = true }))
      layer.C.mascon_testing_fail_allocation(0)
      if good then
        assert_same(want, err)
      end
    end
  end)
end)
