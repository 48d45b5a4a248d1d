import { testFailpoints } from './failpoint-matrix.ts';

testFailpoints(1);
