/**
 * The three agents of the demo, invented for it: what they are told, what they can look up, what
 * people ask them.
 */

/**
 * @typedef {object} Tool
 * @property {string} name
 * @property {string} key the argument that the tool takes
 * @property {Record<string, string>} results
 *
 * @typedef {object} Topic
 * @property {string[]} question
 * @property {Tool} tool
 * @property {string[]} answer
 *
 * @typedef {object} Agent
 * @property {string} name
 * @property {string} model
 * @property {string} prompt
 * @property {object[]} tools
 * @property {string[]} people
 * @property {Topic[]} topics
 */

/** @param {Tool} tool @param {string} description */
function definition(tool, description) {
  const properties = {
    [tool.key]: { type: 'string', description: `Which ${tool.key} to look up.` },
  };
  const parameters = {
    type: 'object',
    properties,
    required: [tool.key],
    additionalProperties: false,
  };
  return { type: 'function', function: { name: tool.name, description, parameters } };
}

/** @type {Tool} */
const RENTALS = {
  name: 'find_bicycle',
  key: 'bicycle',
  results: {
    Heron: `Heron – city bicycle, 7 gears, hub brake, 15.2 kg.
Free: Harbour station 4, Mill Bridge 1, Observatory 0.
Price: 4.00 an hour, 18.00 a day, 72.00 a week; deposit 50.00.
Fits riders from 1.55 m to 1.90 m. Carries 20 kg on the rear rack; child seats can be mounted at Harbour station only.
Remarks: the two Herons at Mill Bridge have a new chain since Monday. Number 112 is in repair (brake cable).`,
    Kingfisher: `Kingfisher – electric bicycle, 9 gears, disc brakes, 23.8 kg, battery 500 Wh.
Free: Harbour station 2, Mill Bridge 3, Observatory 1.
Price: 7.50 an hour, 34.00 a day, 140.00 a week; deposit 150.00.
Range 60 to 90 km, less uphill and in frost. A full charge takes four and a half hours; a second battery costs 6.00 a day.
Remarks: do not leave it in the rain with the display unlocked. Number 207 shows a wrong distance; the battery is sound.`,
    Pelican: `Pelican – cargo bicycle with a box in front, 8 gears, hydraulic brakes, 38 kg.
Free: Harbour station 1, Mill Bridge 0, Observatory 0.
Price: 9.00 an hour, 40.00 a day, 165.00 a week; deposit 200.00.
The box takes 80 kg or two children with belts; a rain cover is included. It does not fit through the gate of the old quay.
Remarks: every renter gets a ten-minute introduction. The only free one is booked from Saturday noon on.`,
  },
};

/** @type {Tool} */
const ROUTES = {
  name: 'describe_route',
  key: 'route',
  results: {
    'Salt Road': `Salt Road, 24 km, mostly flat, paved except for 3 km of gravel along the dyke.
Harbour station – old quay – salt works (km 6, café open until 17:00) – bird tower (km 11) – Brinefield (km 15, pump and
repair stand) – back over the sea lock. Headwind is likely on the way back from noon on. No shade at all between km 6 and km 15.`,
    'Mill Loop': `Mill Loop, 13 km, 140 m of climbing, paved.
Mill Bridge – three mills (the second can be visited, 3.00) – forest edge (km 7, spring water) – Observatory hill (km 9,
steepest part, 9 %) – down through the orchards to Mill Bridge. Suitable for children from about ten years on.`,
  },
};

/** @type {Tool} */
const SOURCES = {
  name: 'read_file',
  key: 'path',
  results: {
    'src/queue.js': `export class Queue {
  constructor(limit = 1000) {
    this.limit = limit;
    this.items = [];
  }

  push(item) {
    if (this.items.length > this.limit) {
      this.items.shift();
    }
    this.items.push(item);
    return this.items.length;
  }

  /** Removes and returns the oldest item. */
  take() {
    return this.items.shift();
  }

  async drain(worker) {
    while (this.items.length) {
      await worker(this.take());
    }
  }
}`,
    'src/retry.js': `/** Calls \`action\` until it succeeds, at most \`times\` times. */
export async function retry(action, times = 3, delay = 100) {
  for (let i = 0; i < times; i++) {
    try {
      return action();
    } catch (error) {
      if (i === times) throw error;
      await new Promise((resolve) => setTimeout(resolve, delay * 2 ** i));
    }
  }
}`,
    'test/queue.test.js': `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Queue } from '../src/queue.js';

test('takes in the order of pushing', () => {
  const queue = new Queue();
  queue.push('a');
  queue.push('b');
  assert.equal(queue.take(), 'a');
  assert.equal(queue.take(), 'b');
});

test('keeps at most the limit', () => {
  const queue = new Queue(2);
  for (const item of ['a', 'b', 'c', 'd']) queue.push(item);
  assert.equal(queue.items.length, 2);
});`,
  },
};

/** @type {Tool} */
const RECIPES = {
  name: 'open_recipe',
  key: 'dish',
  results: {
    'lentil soup': `Lentil soup, four plates, 45 minutes.
250 g brown lentils, 2 carrots, 1 leek, 1 onion, 2 cloves of garlic, 1 bay leaf, 1.2 l vegetable stock, 2 tbsp tomato paste,
1 tbsp wine vinegar, olive oil, salt, pepper.
1. Dice carrots, leek and onion; sweat them in oil for eight minutes. 2. Add garlic and tomato paste for one minute.
3. Add lentils, bay leaf and stock; simmer for 30 minutes without salt. 4. Season with vinegar, salt and pepper.
Keeps for three days in the refrigerator and freezes well.`,
    'plum dumplings': `Plum dumplings, twelve pieces, 70 minutes.
600 g floury potatoes, 180 g flour, 40 g semolina, 1 egg, 12 small plums, 12 sugar cubes, 80 g butter, 100 g breadcrumbs,
cinnamon, a pinch of salt.
1. Boil and press the potatoes; let them steam off. 2. Knead with flour, semolina, egg and salt. 3. Put a sugar cube in
place of each stone, wrap in dough. 4. Simmer for twelve minutes; roll in breadcrumbs browned in butter, dust with cinnamon.
The dough becomes sticky when the potatoes are still wet: add semolina, not flour.`,
    'barley risotto': `Barley risotto with mushrooms, three plates, 50 minutes.
240 g pearl barley, 300 g mushrooms, 2 shallots, 0.9 l hot stock, 100 ml dry cider, 50 g hard cheese, 30 g butter, thyme.
1. Fry the mushrooms hot in two batches, set aside. 2. Sweat shallots and barley, add cider. 3. Add stock ladle by ladle for 35
minutes. 4. Fold in mushrooms, butter, cheese and thyme; let it rest for three minutes.
Without cheese and with oil it is vegan; then add a teaspoon of miso.`,
  },
};

/** @type {Agent[]} */
export const AGENTS = [
  {
    name: 'bicycle-desk',
    model: 'meadow-2-large',
    prompt: `You answer questions at the counter of a bicycle rental with three stations: Harbour station, Mill Bridge and Observatory.

How to work
- Look things up before you say that something is free, what it costs or how a route runs. Prices and numbers change daily.
- Name the station when you name a bicycle. If none is free there, name the nearest station that has one.
- Deposits are taken by card only. Never ask for a card number in the chat.
- Children below seven ride in a seat or in the box of a cargo bicycle, never on a rack.
- In frost, storm or after nine in the evening no electric bicycles are handed out.
- When somebody reports damage or an accident, ask first whether anybody is hurt, then for the number on the frame.

How to write
- Two to five sentences. No lists unless somebody asks for a comparison.
- The language of the customer; prices without a currency sign.
- If you do not know, say so and give the telephone hours: 8:00 to 18:00, at Harbour station.`,
    tools: [
      definition(
        RENTALS,
        'Returns where a type of bicycle is free right now, its price, its deposit and ' +
          'remarks of the workshop.',
      ),
      definition(
        ROUTES,
        'Returns the description of a signposted route: length, climbing, surface, places to rest.',
      ),
    ],
    people: ['Amara', 'Jonas', 'Mei', 'Otto', 'Sofía', 'Tariq', 'Wanda'],
    topics: [
      {
        question: [
          'Hello, this is {person}. Is a {subject} free this afternoon, and what is it for ' +
            'four hours?',
          'Can I get a {subject} at Mill Bridge? I am 1.62 m tall.',
          'What deposit do you take for a {subject}? {person} here, I was with you last week too.',
        ],
        tool: RENTALS,
        answer: [
          'Yes, {person}, a {subject} is free at Harbour station. I have not reserved it: ' +
            'whoever comes first, gets it. The deposit is taken by card when you pick it up.',
          'The {subject} would fit you. At the moment Harbour station is the safest choice, ' +
            '{person}; at the other stations there may be none left by the time you arrive.',
          'For the {subject} the deposit is the one in the list, {person}, and you get it ' +
            'back the same day when you return the bicycle in one piece.',
        ],
      },
      {
        question: [
          'We want to ride the {subject} on Sunday with a ten-year-old. Is that too much?',
          'Where on the {subject} can we eat something, and is there a pump?',
        ],
        tool: ROUTES,
        answer: [
          'The {subject} is feasible with a ten-year-old if you start in the morning. Take ' +
            'water along: there are long parts without any shop.',
          'On the {subject} there is one good place to stop, {person}. After that nothing ' +
            'is open on Sundays, so fill your bottles there.',
        ],
      },
    ],
  },
  {
    name: 'code-review',
    model: 'meadow-2-code',
    prompt: `You review changes to a small JavaScript project. You read the files you talk about; you do not guess what is in them.

Order of attention
1. Is it correct? Look for off-by-one errors, missing awaits, wrong error paths, shared state, and limits that are checked too late.
2. Can it be tested? A change without a test that fails before it and passes after it is not finished.
3. Can it be read? Prefer a better name to a comment, and a deleted line to both.

Rules
- Quote at most three lines of code at a time, and say which file and line they are from.
- One finding a paragraph, the most serious one first. If there is none, say "no findings" and stop.
- Propose the smallest change that solves the problem. Do not reformat, do not rename what is not part of the change.
- Never run anything that writes. You have read access only.
- Be friendly to the person and strict with the code.`,
    tools: [
      definition(
        SOURCES,
        'Returns the content of a file of the repository as it is on the branch under review.',
      ),
    ],
    people: ['Ada', 'Björn', 'Chidi', 'Eva', 'Noor'],
    topics: [
      {
        question: [
          'Please look at {subject}. A customer says that things get lost when it is busy.',
          'I touched {subject} this morning. Anything I overlooked? – {person}',
          'Is {subject} fine as it is, or would you change something before the release?',
        ],
        tool: SOURCES,
        answer: [
          'One finding in {subject}. The limit is compared with > before the new item is ' +
            'added, so there is one item more than allowed for a moment; >= is meant. Please ' +
            'add a test that fails without the change.',
          'In {subject} the promise is returned without await inside try, so a rejection ' +
            'never reaches the catch block: nothing is tried again. "return await" is the ' +
            'smallest repair, {person}.',
          'No findings in {subject}.',
          'One finding in {subject}, {person}: the last attempt is never recognised, ' +
            'because the counter ends one below the number it is compared with. The error is ' +
            'swallowed and the caller gets undefined.',
        ],
      },
    ],
  },
  {
    name: 'kitchen-helper',
    model: 'meadow-2-small',
    prompt: `You help people cook from the house's own recipe book. The book is the truth; your memory is not.

- Open the recipe before you answer. If the book has no such dish, say so and offer the closest one.
- When somebody cooks for more or fewer people, recalculate every amount and round to what a kitchen scale shows.
- Replacements: name what changes in taste and in time, not only what is possible.
- Allergies come first. If somebody names one, go through the ingredients one by one before anything else.
- Temperatures in °C, weights in g, volumes in ml. Spoons only where the book has spoons.
- Answer the question that was asked; the whole recipe only on request.`,
    tools: [
      definition(
        RECIPES,
        'Returns a recipe of the book: amounts, steps, time, and what the cooks noted beside it.',
      ),
    ],
    people: ['Grete', 'Ivo', 'Kofi', 'Lena', 'Yuki'],
    topics: [
      {
        question: [
          'I want to make {subject} for nine. How much do I need?',
          'Can {subject} be made the day before? – {person}',
          'My guest does not eat gluten. Does {subject} work?',
        ],
        tool: RECIPES,
        answer: [
          'For nine people multiply the amounts of {subject} by what the recipe serves, ' +
            '{person}, and plan twenty minutes more: a bigger pot takes longer to boil.',
          'Yes, {subject} can wait until the next day. Season it only when you warm it up again.',
          'I went through the ingredients of {subject} one by one, {person}: as written it ' +
            'does not suit your guest. I can look for the closest dish that does.',
        ],
      },
    ],
  },
];
