import { describeSchedules } from './schedule-suite.ts';

describeSchedules(1, 2);
