--- The sentences of DataLoader, the data sets and the transforms for bad input.

local mascon = require "mascon"
local layer = require "mascon.ffi"

local data, datasets, T = mascon.data, mascon.datasets, mascon.transforms
local DataLoader = data.DataLoader

--- f fails at this file's line with "<text>" after the position, then possibly a hint.
local function fails(text, f, ...)
  local good, message = pcall(f, ...)
  assert.is_false(good)
  local at = message:match "^[^\n]-loader_errors_spec.lua:%d+: (.*)"
  assert.is_truthy(at, message)
  assert.equal(text, at:sub(1, #text))
end

local function set(n, get)
  return { len = function() return n end, get = get or function(_, i) return mascon.zeros { 2 }, i end }
end

local function drain(loader)
  for _ in loader() do end -- luacheck: ignore
end

describe("DataLoader", function()
  it("D50: refuses an empty data set", function()
    fails("DataLoader: data set is empty", DataLoader, set(0))
    fails("DataLoader: data set is empty", DataLoader, datasets.FakeData { size = 0 })
  end)

  it("D51: checks its options", function()
    fails("DataLoader: batch_size is 0; must be 1 or more", DataLoader, set(3), { batch_size = 0 })
    fails("DataLoader: batch_size is 2.5; expected a whole number", DataLoader, set(3),
      { batch_size = 2.5 })
    fails("DataLoader: num_workers is -2; must be", DataLoader, set(3), { num_workers = -2 })
    fails('DataLoader: unknown option "batchsize"\nhint: did you mean "batch_size"?', DataLoader,
      set(3), { batchsize = 3 })
    fails('DataLoader: on_error is "ignore"; expected one of raise, skip', DataLoader, set(3),
      { on_error = "ignore" })
    fails("DataLoader: shuffle and sampler are both given", DataLoader, set(3),
      { shuffle = true, sampler = { 1 } })
    fails("DataLoader: prefetch_factor needs workers; num_workers is 0", DataLoader, set(3),
      { prefetch_factor = 2 })
    fails("DataLoader: timeout needs workers", DataLoader, set(3), { timeout = 1 })
  end)

  it("D52: names the sample of another shape", function()
    local ds = set(20, function(_, i) return mascon.zeros { 3, 32, i == 18 and 30 or 32 }, i end)
    local good, message = pcall(drain, DataLoader(ds, { batch_size = 20 }))
    assert.is_false(good)
    assert.matches("DataLoader: sample 18 is {3, 32, 30}, sample 1 was {3, 32, 32}; cannot stack\n"
      .. "hint: resize in the transform", message, 1, true)
  end)

  it("says so when loader() was forgotten", function()
    local loader = DataLoader(set(3))
    fails("DataLoader: a loader itself is not an iterator; loader() begins an epoch\n"
      .. "hint: for X, y in loader() do", function()
      for _ in loader do end -- luacheck: ignore
    end)
  end)

  it("wants a data set", function()
    fails("DataLoader: data set is a table without the methods len and get", DataLoader, { 1, 2 })
    fails("DataLoader: data set is nil without the methods len and get", DataLoader)
    fails("DataLoader: len of the data set is -1; expected a whole number", DataLoader, set(-1))
  end)

  it("raises an error of get with the sample's number, or skips it", function()
    local ds = set(5, function(_, i)
      if i % 2 == 0 then
        error("no picture " .. i, 0)
      end
      return mascon.full({ 1 }, i), i
    end)
    fails("DataLoader: sample 2: no picture 2", function()
      for _ in DataLoader(ds)() do end -- luacheck: ignore
    end)
    local loader = DataLoader(ds, { batch_size = 2, on_error = "skip" })
    local seen = {}
    for X in loader() do
      for _, row in ipairs(X:totable()) do
        seen[#seen + 1] = row[1]
      end
    end
    assert.same({ 1, 3, 5 }, seen)
    local all_bad = set(4, function() error "never" end)
    assert.is_nil(DataLoader(all_bad, { on_error = "skip" })()())
  end)

  it("raises an error of a Lambda with the sample's number", function()
    local ds = datasets.FakeData { size = 4, transform = T.Lambda(function() error("odd", 0) end) }
    fails("DataLoader: sample 1: odd", function()
      for _ in DataLoader(ds)() do end -- luacheck: ignore
    end)
  end)

  it("refuses values that make no batch", function()
    fails("DataLoader: value 1 of sample 2 is a string, that of sample 1 a number", function()
      drain(DataLoader(set(2, function(_, i) return i == 1 and 1 or "x" end)))
    end)
    fails("DataLoader: value 1 of sample 1 is a function; cannot make a batch of it", function()
      drain(DataLoader(set(1, function() return print end)))
    end)
    fails("DataLoader: sample 1: get returned nothing", function()
      drain(DataLoader(set(1, function() end)))
    end)
  end)

  it("refuses an unknown dtype before any sample is read", function()
    fails('DataLoader: unknown dtype "float31"', DataLoader, set(3), { dtypes = { [2] = "float31" } })
  end)

  it("refuses a collate_fn that returns nothing, which would end the loop", function()
    for _, f in ipairs { function() end, function(samples) return nil, samples end } do
      fails("DataLoader: collate_fn returned nothing; its first value must not be nil", function()
        drain(DataLoader(set(3), { collate_fn = f }))
      end)
    end
  end)

  it("refuses a sampler's wrong index", function()
    fails("DataLoader: index 2 of the sampler is 4; expected a whole number in 1..3", function()
      drain(DataLoader(set(3), { sampler = { 1, 4 } }))
    end)
    for key, sampler in pairs { ["3"] = { 1, [3] = 3 }, ['"len"'] = { len = function() return 1 end } } do
      fails(("DataLoader: sampler[%s] is not part of a list without holes"):format(key), function()
        drain(DataLoader(set(3), { sampler = sampler }))
      end)
    end
  end)

  it("refuses an ended epoch", function()
    for _, ds in ipairs { set(3), datasets.FakeData { size = 3 } } do
      local loader = DataLoader(ds, { batch_size = 1 })
      local step = loader()
      step()
      loader()
      fails("DataLoader: this epoch was ended by close() or a later loader()", function() step() end)
    end
  end)

  it("refuses a position in another data set", function()
    local state = DataLoader(set(3)):state_dict()
    fails("DataLoader: the state was saved with 3 samples, this data set has 4", function()
      DataLoader(set(4)):load_state_dict(state)
    end)
  end)

  it("names the stage that does not fit", function()
    local normalize = T.Normalize(0.5, 0.5)
    local ds = datasets.FakeData { size = 3, transform = normalize }
    fails("DataLoader: Normalize takes float32 pictures, this one is uint8\n"
      .. "hint: ToTensor() before Normalize", function() drain(DataLoader(ds)) end)
    ds = datasets.FakeData { size = 3, transform = T.Compose { T.ToTensor(),
      T.Normalize({ 0, 0 }, { 1, 1 }) } }
    fails("DataLoader: Normalize has 2 means, the picture has 3 channels", function()
      drain(DataLoader(ds))
    end)
  end)

  it("ends with an error soon after an interrupt", function()
    for _, workers in ipairs { 0, 2 } do
      local loader = DataLoader(datasets.FakeData { size = 64 }, { num_workers = workers })
      local step = loader()
      layer.C.mascon_interrupt()
      local good, message = pcall(step)
      layer.C.mascon_interrupted()
      assert.is_false(good)
      assert.matches("DataLoader: interrupted", message)
      assert.is_truthy(step()) -- nothing is lost
      loader:close()
    end
  end)

  it("survives a failing allocation in any place", function()
    local ds = datasets.FakeData { size = 8, transform = T.ToTensor() }
    for _, workers in ipairs { 0, 1 } do
      for n = 1, 4 do
        local loader = DataLoader(ds, { batch_size = 4, num_workers = workers })
        local step = loader()
        layer.C.mascon_testing_fail_allocation(n)
        local count = 0
        local good, message = pcall(function()
          while step() do
            count = count + 1
          end
        end)
        layer.C.mascon_testing_fail_allocation(0)
        assert.is_true(good, message) -- the loader collects and tries once more
        assert.equal(2, count)
      end
    end
  end)
end)

describe("data sets", function()
  it("check their arguments", function()
    fails("TensorDataset: tensor 2 has 3 rows, tensor 1 has 2", data.TensorDataset,
      mascon.zeros { 2, 1 }, mascon.zeros { 3 })
    fails("TensorDataset: argument 2 is 5; expected a tensor", data.TensorDataset,
      mascon.zeros { 2, 1 }, 5)
    fails("TensorDataset: no tensors given", data.TensorDataset)
    fails("TensorDataset: sample 3 is out of range (1..2)", function()
      data.TensorDataset(mascon.zeros { 2, 1 }):get(3)
    end)
    fails("Subset: index 2 is 9; expected a whole number in 1..3", data.Subset, set(3), { 1, 9 })
    fails("ConcatDataset: argument 1 is not a list of data sets", data.ConcatDataset, {})
    fails("random_split: the lengths add up to 5, the data set has 3 samples", data.random_split,
      set(3), { 2, 3 })
    fails("random_split: length 1 is -1; must be 0 or more", data.random_split, set(3), { -1, 4 })
    fails("FakeData: sample 4 is out of range (1..3)", function()
      datasets.FakeData({ size = 3 }):get(4)
    end)
  end)
end)

describe("transforms", function()
  it("check their arguments", function()
    fails("Normalize: mean has 2 values, std has 1", T.Normalize, { 1, 2 }, { 1 })
    fails("Normalize: std of channel 2 is 0; must not be 0", T.Normalize, { 1, 2 }, { 1, 0 })
    fails("Normalize: std is missing", T.Normalize, 0.5)
    fails("Compose: transform 2 is a number; expected something to call", T.Compose,
      { T.ToTensor(), 3 })
    fails("Compose: argument 1 is a function; expected a list of transforms", T.Compose, print)
    fails("Lambda: fn is a number; expected a function", function()
      T.Lambda(3)
    end)
    fails("ConvertImageDtype: dtype is \"int8\"; expected one of float32, uint8",
      T.ConvertImageDtype, "int8")
  end)

  it("check their pictures", function()
    fails("ToTensor: picture is 3; expected a tensor {channels, height, width}", function()
      T.ToTensor()(3)
    end)
    fails("ToTensor: picture has 1 dimensions {4}; expected 3 {channels, height, width} or 4",
      function() T.ToTensor()(mascon.zeros { 4 }) end)
    fails("Normalize: Normalize takes float32 pictures, this one is uint8", function()
      T.Normalize(0, 1)(mascon.zeros({ 3, 2, 2 }, { dtype = "uint8" }))
    end)
  end)
end)
