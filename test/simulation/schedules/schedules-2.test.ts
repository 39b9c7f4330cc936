import { describeSchedules } from './schedule-suite.ts';

describeSchedules(2, 2);
